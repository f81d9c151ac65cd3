"""Frames that no honest worker sends, at the broker's door."""
