"""Pure decisions about payment channels."""
