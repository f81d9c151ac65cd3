"""The parent's side of a run on this machine."""
