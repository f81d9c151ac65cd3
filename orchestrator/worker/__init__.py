"""The child's side of a run.

Everything here runs in a worker and imports little.
"""
