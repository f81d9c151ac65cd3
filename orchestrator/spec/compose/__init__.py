"""Composition of a spec: layers laid over it, its matrices expanded, its variables put in."""
