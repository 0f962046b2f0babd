"""Payment sessions (channels): what is decided, recorded, done and reported."""
