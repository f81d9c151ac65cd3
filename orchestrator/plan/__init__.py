"""The plan of a run: the spec resolved, checked and frozen.

Nothing is imported here: workers load `orchestrator.plan.model`, and must not pay for the compiler.
"""
