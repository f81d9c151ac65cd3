"""Targets: what can be known of the code that a spec names."""
