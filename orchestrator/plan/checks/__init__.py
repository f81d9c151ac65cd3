"""The rules a spec must keep: one function a rule, each yields the problems it finds."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.checks import jobs, order, shapes, wiring
from orchestrator.plan.checks.targets import check_targets
from orchestrator.plan.draft import Draft

__all__ = ["check"]

_RULES = (
    *wiring.RULES,
    *shapes.RULES,
    *jobs.RULES,
    *order.RULES,
    check_targets,
)


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of every rule."""
    for rule in _RULES:
        yield from rule(draft)
