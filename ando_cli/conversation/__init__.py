"""Conversations: the data, the files that hold them, and one turn."""
