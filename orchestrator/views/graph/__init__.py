"""A plan as a drawing: jobs and queues as nodes, what connects them as edges.

`drawing` makes plain nodes and edges of a plan; each other module draws those in one format.
"""
