"""Runs that begin again when a file changes."""
