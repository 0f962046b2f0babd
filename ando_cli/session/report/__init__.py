"""What is reported about payment channels."""
