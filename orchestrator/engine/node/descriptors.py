"""Open files that a run needs, and the limit that must allow them."""

from __future__ import annotations

import resource
import sys

from orchestrator.errors import UsageError

__all__ = ["PER_WORKER", "RESERVE", "ensure", "needed"]

PER_WORKER = 7 if sys.version_info >= (3, 13) else 8
"""Held for each worker: two sockets, two pipes, its pidfd, and multiprocessing's two pipe ends;
before Python 3.13 the mapping of the progress cell keeps one more."""

RESERVE = 128
"""For everything else: the interpreter's files, the run's own, the loop's, the helpers', and the
other side of a worker's connections while it is being made."""


def needed(workers: int) -> int:
    """Return how many descriptors the orchestrator needs for `workers` workers at a time."""
    return RESERVE + workers * PER_WORKER


def ensure(workers: int) -> int:
    """Raise the soft limit as far as `workers` need; return what it was, for the workers to have.

    Raises UsageError, before anything has started, if the hard limit is below the need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = needed(workers)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return soft
    if hard != resource.RLIM_INFINITY and hard < need:
        raise UsageError(
            f"{workers:,} workers at a time need {need:,} open files, and the limit is {hard:,}",
            hint=f"use fewer workers, or raise the hard limit first: `ulimit -n {need}` as root",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    return soft
