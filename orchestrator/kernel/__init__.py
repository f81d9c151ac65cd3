"""kernel: to be described."""
