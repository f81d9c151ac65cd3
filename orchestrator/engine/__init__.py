"""Engines: where workers live, and the conductor that drives the core over one."""
