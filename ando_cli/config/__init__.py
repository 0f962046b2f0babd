"""The configuration: its schema, the settings in force, changing and showing them."""
