"""Repeated news of one kind: the first few in full, then a count in growing steps.

A kind is what happened to what job by what type of error, with what message but for numbers and
quoted texts in it. The log has every one. A count is told once a second at most; times are
monotonic seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemRetried,
    Notification,
    WorkerEnded,
    WorkerReplaced,
)

__all__ = ["Repeated", "Repeats"]

Repeated: TypeAlias = ItemRetried | ItemDead | ItemFailed | WorkerReplaced | WorkerEnded

_IN_FULL = 3
_EVERY_S = 1.0
_MOST_SHAPES = 4
"""Shapes of messages of one type of error; all others of that type are one kind."""
_MOST_TYPES = 16
"""Types of errors of one event of one job."""
_LONGEST = 200
_CHANGING = re.compile(r"""'[^']*'|"[^"]*"|(?<![\w.:-])[\w.:-]*\d[\w.:-]*""")
_NOUNS: dict[type[Notification], str] = {
    ItemRetried: "retries",
    ItemDead: "dead letters",
    ItemFailed: "failed items",
    WorkerReplaced: "replaced workers",
}


@dataclass
class _Kind:
    """One kind: how it is said, how often it came, and how often when it was last told."""

    noun: str
    what: str
    level: int = 0
    count: int = 0
    told: int = 0
    told_at: float = 0.0
    steps: int = 0
    """How many of the steps it has passed."""


class Repeats:
    """Counts news of each kind, and makes the lines to tell of it, with their levels."""

    def __init__(self, describe: Callable[[Notification], tuple[str, int, str]]) -> None:
        """Tell in the words of `describe`: the event's name, its level, its message."""
        self._describe = describe
        self._kinds: dict[tuple[str, str], dict[str, dict[str, _Kind]]] = {}
        """By job and what happened, then by type of error, then by shape of message."""

    def take(self, notification: Repeated, now: float) -> tuple[int, str] | None:
        """Count one; return the level and the line to tell at `now`, None if there is none."""
        kind = self._kind(notification)
        kind.count += 1
        if kind.count <= _IN_FULL:
            kind.told, kind.told_at = kind.count, now
            _, kind.level, text = self._describe(notification)
            return kind.level, text
        if kind.count < _step(kind.steps) or now - kind.told_at < _EVERY_S:
            return None
        while _step(kind.steps) <= kind.count:
            kind.steps += 1
        kind.told_at = now
        return kind.level, _line(notification.job, kind, "so far")

    def rest(self, job: str | None = None) -> Iterator[tuple[int, str]]:
        """Yield level and line for each kind that came again since it was told; of one job or all.

        It is for the end: they are told as all that there are.
        """
        for (name, _), types in self._kinds.items():
            if job in (None, name):
                for kind in (kind for shapes in types.values() for kind in shapes.values()):
                    if kind.told < kind.count:
                        yield kind.level, _line(name, kind, "in all")

    def _kind(self, notification: Repeated) -> _Kind:
        noun, error_type, message = _said(notification)
        types = self._kinds.setdefault((notification.job, noun), {})
        if error_type not in types and len(types) >= _MOST_TYPES:
            error_type, message = "other errors", ""
        shapes = types.setdefault(error_type, {})
        shape = _CHANGING.sub(_blank, message[:_LONGEST]) if message else ""
        if shape not in shapes and len(shapes) >= _MOST_SHAPES:
            shape = "other messages"
        kind = shapes.get(shape)
        if kind is None:
            what = ": ".join(text for text in (error_type, shape) if text)
            kind = shapes[shape] = _Kind(noun=noun, what=what)
        return kind


def _step(n: int) -> int:
    """Return the n-th, from 0 on, of 10, 30, 100, 300 and so on."""
    tens: int = 10 ** (n // 2 + 1)
    return tens * 3 if n % 2 else tens


def _said(notification: Repeated) -> tuple[str, str, str]:
    """Return what happened, the type of its error and the message; of a death the reason."""
    if isinstance(notification, WorkerReplaced):
        return _NOUNS[WorkerReplaced], "", notification.reason
    if not isinstance(notification, WorkerEnded):
        return _NOUNS[type(notification)], notification.failure.kind, notification.failure.message
    failure = notification.failure
    noun = f"workers {notification.state.replace('_', ' ')}"
    if notification.reason or failure is None:
        return noun, "", notification.reason
    return noun, failure.kind, failure.message


def _blank(changing: re.Match[str]) -> str:
    first = changing[0][0]
    return f"{first}…{first}" if first in "'\"" else "#"


def _line(job: str, kind: _Kind, when: str) -> str:
    kind.told = kind.count
    what = f": {kind.what}" if kind.what else ""
    return f"{job}: {kind.count:,} {kind.noun} {when}{what}"
