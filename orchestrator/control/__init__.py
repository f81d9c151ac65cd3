"""The control socket of a run: its protocol, its client, and the run that is meant."""
