"""Features beside the run, each a folder with what only it needs; none imports another."""
