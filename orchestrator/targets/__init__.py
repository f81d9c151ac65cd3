"""Targets: what can be known of the code that a spec names, without running it and with."""
