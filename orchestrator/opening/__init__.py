"""Items opened in a process that may do nothing else: for dead letters, and for taps."""
