"""Chaos: mporch as its user runs it, with its workers killed from outside at random moments."""
