"""The rule on targets: each can be found, told without running anything."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.draft import Draft
from orchestrator.plan.targets import TargetFormError, Targets, parse_target
from orchestrator.spec.rules import targets as rules

__all__ = ["check_targets"]


def check_targets(draft: Draft) -> Iterator[Problem]:
    """Every target is of the form package.module:name, is there, and can be called."""
    spec = draft.spec
    targets = Targets([str(spec.project_dir / entry) for entry in spec.document.pythonpath])
    for job in draft.jobs.values():
        path = job.path("target")
        try:
            flaw = targets.flaw(parse_target(job.own.target))
        except TargetFormError as error:
            yield spec.problem(rules.BAD_TARGET, path, str(error), error.hint)
        else:
            if flaw is not None:
                yield spec.problem(flaw.rule, path, flaw.message, flaw.hint)
