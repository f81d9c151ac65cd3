"""Pipelines to learn from; each folder has a `jobs.yaml` and the functions it names."""
