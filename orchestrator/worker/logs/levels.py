"""Levels of logging libraries as those of the run's log.

Called in the child.
"""

from __future__ import annotations

import functools

__all__ = ["level_of"]

_KNOWN = {
    "trace": "debug",
    "spam": "debug",
    "debug": "debug",
    "verbose": "debug",
    "info": "info",
    "notice": "info",
    "success": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "exception": "error",
    "failure": "error",
    "critical": "critical",
    "fatal": "critical",
}
_FROM = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"))


@functools.lru_cache(maxsize=256)
def level_of(name: str, number: float = 20) -> str:
    """One of debug, info, warning, error and critical.

    By name where that is a known one, since libraries number SUCCESS or NOTICE as they like; else
    by number, since a program may call its levels whatever it wants.
    """
    known = _KNOWN.get(name.strip().lower())
    if known is not None:
        return known
    return next((level for least, level in _FROM if number >= least), "debug")
