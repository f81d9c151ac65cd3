"""A census of Python's own standard library."""
