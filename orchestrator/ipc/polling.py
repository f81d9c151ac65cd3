"""Longest waits of the system's calls: poll and epoll take 24.8 days at most."""

from __future__ import annotations

__all__ = ["bounded"]

_LONGEST_S = 86_400.0


def bounded(timeout_s: float | None) -> float | None:
    """Return so many seconds, or a day if it is longer: who waits looks at the clock again."""
    return None if timeout_s is None else min(max(0.0, timeout_s), _LONGEST_S)
