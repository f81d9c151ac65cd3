"""The order in which the jobs of a plan start."""

from __future__ import annotations

import graphlib

from orchestrator.plan.model import JobPlan, Plan

__all__ = ["in_starting_order"]


def in_starting_order(plan: Plan) -> list[tuple[int, JobPlan]]:
    """Return each job with its step: those of step 1 start at once, in spec order.

    A job of a later step is `after` one of the step before; when it starts depends on that one.
    """
    before = {name: [other for other, _ in job.after] for name, job in plan.jobs.items()}
    steps: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(before).static_order():
        steps[name] = 1 + max((steps[other] for other in before[name]), default=0)
    return sorted(((steps[name], job) for name, job in plan.jobs.items()), key=lambda each: each[0])
