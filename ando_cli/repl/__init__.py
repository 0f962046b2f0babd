"""The interactive conversation: ``ando chat`` on a terminal."""
