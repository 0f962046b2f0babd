"""One module for each subcommand: it reads the flags, calls the core, and prints the result."""
