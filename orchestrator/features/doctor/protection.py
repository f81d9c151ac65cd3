"""Looks at what runs are protected by: nothing shall be left behind, and no death go unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from orchestrator.features.doctor import trials
from orchestrator.features.doctor.finding import Finding, Verdict

__all__ = ["look_at_protection"]

_LIMITED = Verdict.LIMITED


def look_at_protection() -> Iterator[Finding]:
    """Called in the parent: try out pidfds, subreapers, parent death signals, pid namespaces."""
    if sys.platform != "linux":
        means = "when mporch is killed, processes of a run may be left"
        yield Finding(name="protection", verdict=_LIMITED, found="Linux only", means=means)
        return
    seen = trials.orphan_trial()
    yield _judged(
        "pidfd",
        trials.pidfds_work(),
        Verdict.BROKEN,
        "the death of a worker cannot be told for certain",
    )
    yield _judged(
        "subreaper",
        bool(seen & trials.SUBREAPER),
        _LIMITED,
        "what workers leave behind, daemons for one, outlives a run",
    )
    yield _judged(
        "parent death",
        bool(seen & trials.PARENT_DEATH),
        _LIMITED,
        "when mporch is killed by SIGKILL, workers may outlive it",
    )
    yield pid_namespace(works=trials.pid_namespace_works())


def pid_namespace(*, works: bool) -> Finding:
    """Return whether a run could have pids of its own; this version does not use that."""
    means = (
        "not used: should both processes of mporch be killed in the same moment, workers end, "
        "what they had started themselves does not"
    )
    found = "can be had" if works else "cannot be had"
    return Finding(name="pid namespace", verdict=Verdict.OK, found=found, means=means)


def _judged(name: str, works: bool, otherwise: Verdict, means: str) -> Finding:
    if works:
        return Finding(name=name, verdict=Verdict.OK, found="works")
    return Finding(name=name, verdict=otherwise, found="does not work", means=means)
