"""Reports of faulthandler: a crashed or hanging worker's becomes a failure like any other.

Called in the parent.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable
from itertools import dropwhile, takewhile
from typing import TypeAlias

from orchestrator.core.protocol.messages import STOPPED, Failure
from orchestrator.files import PACKAGE

__all__ = ["CrashText", "stopped_in"]

_BEGIN = "Fatal Python error: "
_THREAD = "Current thread "
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
_MOST_LINES = 500
_LONGEST_LINE = 1000
_STDLIB = sysconfig.get_path("stdlib")

_Frame: TypeAlias = tuple[str, str, str]
"""File, line and name."""


class CrashText:
    """Listens to a worker's standard error; it keeps nothing until a crash is reported."""

    def __init__(self) -> None:
        self._what = ""
        self._frames: list[_Frame] = []
        self._lines = 0
        self._inside = False

    def line(self, text: str) -> None:
        """Take a line of standard error; of a long one its beginning counts."""
        text = text[:_LONGEST_LINE]
        if text.startswith(_BEGIN):
            self._what, self._lines = text.removeprefix(_BEGIN), 0
            self._frames.clear()
        elif self._what and self._lines < _MOST_LINES:
            self._lines += 1
            if text.startswith((_THREAD, "Thread ")):
                self._inside = text.startswith(_THREAD)
            elif self._inside and (frame := _FRAME.fullmatch(text)):
                self._frames.append((frame["file"], frame["line"], frame["name"]))

    def failure(self) -> Failure | None:
        """The crash, with the user's own frames; None if there was none."""
        if not self._what:
            return None
        frames = list(takewhile(_is_not_ours, self._frames))  # what has called the target is ours
        text = _text(frames)
        return Failure(
            kind="Crash",
            message=self._what,
            traceback=f"Traceback (most recent call last):\n{text}{self._what}\n" if text else "",
            where=_where(frames),
        )


def stopped_in(report: str) -> Failure | None:
    """Return where a worker was that was asked for its stack, as if it were stopped there.

    None if it was in no code of the user's.
    """
    found = [frame for line in report.splitlines() if (frame := _FRAME.fullmatch(line))]
    told = [(frame["file"], frame["line"], frame["name"]) for frame in found]
    target = list(takewhile(_is_not_ours, dropwhile(_is_ours, told)))
    if not target:
        return None
    where = _where(target)
    return Failure(kind=STOPPED, message="stopped here", traceback=_text(target), where=where)


def _text(frames: Iterable[_Frame]) -> str:
    """The frames as a traceback has them; they come with the innermost first."""
    lines = [f'  File "{file}", line {line}, in {name}\n' for file, line, name in frames]
    return "".join(reversed(lines))


def _where(frames: Iterable[_Frame]) -> str:
    return next((f"{file}:{line}" for file, line, _ in frames if _is_users(file)), "")


def _is_ours(frame: _Frame) -> bool:
    return frame[0].startswith(PACKAGE)


def _is_not_ours(frame: _Frame) -> bool:
    return not _is_ours(frame)


def _is_users(file: str) -> bool:
    return not file.startswith(_STDLIB) and "/site-packages/" not in file
