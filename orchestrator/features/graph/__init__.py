"""`mporch graph`: the drawing of a plan's jobs and queues, in several formats.

`drawing` makes plain nodes and edges of a plan; each other module draws those in one format.
"""
