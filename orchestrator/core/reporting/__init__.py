"""Summary, snapshot and warnings of a run, as plain data."""
