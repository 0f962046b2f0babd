"""Conversations: the data, the files that keep them, and one turn of them."""
