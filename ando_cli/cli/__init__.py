"""The kit that the command line is built with."""
