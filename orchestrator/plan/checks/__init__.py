"""The rules a spec must keep: one function a rule, each yields the problems it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from orchestrator.errors import Problem
from orchestrator.plan.checks import cases, commands, jobs, keys, order, wiring
from orchestrator.plan.checks.targets import check_targets
from orchestrator.plan.resolved_spec import ResolvedSpec

__all__ = ["check"]

_MOST_OF_A_KIND = 200
_RULES = (
    *wiring.RULES,
    *keys.RULES,
    *jobs.RULES,
    *commands.RULES,
    *order.RULES,
    check_targets,
    *cases.RULES,
)


def check(draft: ResolvedSpec) -> Iterator[Problem]:
    """Yield the problems of every rule; of one rule no more than anybody would read."""
    for rule in _RULES:
        found = list(islice(rule(draft), _MOST_OF_A_KIND + 1))
        if len(found) > _MOST_OF_A_KIND:
            found[-1] = replace(found[-1], message="and more of this kind", hint="")
        yield from found
