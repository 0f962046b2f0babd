"""What is recorded about payment channels, in SQLite."""
