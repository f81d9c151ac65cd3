"""Limits of the system: open files, processes and memory, and words for what it refuses."""

from __future__ import annotations

import errno
import resource
import sys

from orchestrator.errors import UsageError

__all__ = ["PER_WORKER", "REFUSALS", "RESERVE", "ensure", "in_words", "needed"]

PER_WORKER = 10 if sys.version_info >= (3, 13) else 11
"""Held for each worker: two sockets, three pipes, its pidfd, multiprocessing's two pipe ends, its
arena and that of a dead one before it, in which there are items yet; before Python 3.13 the mapping
of the progress cell keeps one more."""

RESERVE = 128
"""For everything else: the interpreter's files, the run's own, the loop's, the helpers', and the
other side of a worker's connections while it is being made."""

REFUSALS = frozenset({errno.EAGAIN, errno.ENOMEM})
"""What a fork fails with: a limit of processes and threads, or of memory."""


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


def in_words(number: int) -> str:
    """Name the limit that a fork, or the start of a thread, has met with this errno."""
    if number == errno.ENOMEM:
        return "the system has no memory for another process"
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    return (
        f"the limit of processes and threads is reached (ulimit -u is {limit}, for all of this"
        " user; a container's pids.max may be lower)"
    )
