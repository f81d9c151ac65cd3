"""A run in a child process, apart from the caller: both sides of it."""
