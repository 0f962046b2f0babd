"""The code that writes to a screen."""
