"""Words for what the system refuses: processes, threads, memory."""

from __future__ import annotations

import errno
import resource

__all__ = ["REFUSALS", "in_words"]

REFUSALS = frozenset({errno.EAGAIN, errno.ENOMEM})
"""What a fork fails with: a limit of processes and threads, or of memory."""


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
