"""One module a subcommand: read the flags, call the core, hand the result to output."""
