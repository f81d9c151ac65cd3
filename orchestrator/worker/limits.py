"""Resource limits of a worker, and its recycling when it has used enough.

Called in the child.
"""

from __future__ import annotations

import resource
from pathlib import Path

from orchestrator.core.protocol.messages import Worn
from orchestrator.plan.model import LimitsPlan, RecyclePlan

__all__ = ["Wear", "apply_limits"]

_PAGE = resource.getpagesize()
_CPU_GRACE_S = 5
"""Seconds of processor time from SIGXCPU to the kernel's SIGKILL."""


def apply_limits(limits: LimitsPlan) -> None:
    """Have the kernel keep this process, and each that it starts, within the limits.

    What is lower already stays. Source: setrlimit(2).
    """
    if limits.memory_bytes is not None:
        _lower(resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes)
    if limits.cpu_s is not None:
        soft = max(1, round(limits.cpu_s))
        _lower(resource.RLIMIT_CPU, soft, soft + _CPU_GRACE_S)
    if limits.open_files is not None:
        _lower(resource.RLIMIT_NOFILE, limits.open_files, limits.open_files)


def _lower(which: int, soft: int, hard: int) -> None:
    old = resource.getrlimit(which)
    new = [
        value if before == resource.RLIM_INFINITY else min(value, before)
        for value, before in zip((soft, hard), old, strict=True)
    ]
    resource.setrlimit(which, (min(new), new[1]))


class Wear:
    """Counts a worker's items, and looks at its memory between leases."""

    def __init__(self, recycle: RecyclePlan) -> None:
        self._recycle = recycle
        self._items = 0

    @property
    def items_left(self) -> int | None:
        """Return how many items it may still do; None if they are not counted."""
        most = self._recycle.max_items
        return None if most is None else max(0, most - self._items)

    def worn_by(self, items: int) -> Worn | None:
        """Return why a new process shall take this one's place after these items, if it shall."""
        self._items += items
        if self.items_left == 0:
            return Worn.ITEMS
        most = self._recycle.max_rss_bytes
        return Worn.MEMORY if most is not None and _rss_bytes() > most else None


def _rss_bytes() -> int:
    """Memory this process has in RAM. Source: proc(5), statm."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
