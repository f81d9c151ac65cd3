"""Reports of faulthandler: a crashed worker's becomes a failure like any other.

Called in the parent.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

from orchestrator.core.messages import Failure

__all__ = ["CrashText"]

_BEGIN = "Fatal Python error: "
_THREAD = "Current thread "
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
_MOST_LINES = 500
_LONGEST_LINE = 1000
_OWN = str(Path(__file__).parents[2])
_STDLIB = sysconfig.get_path("stdlib")


class CrashText:
    """Listens to a worker's standard error; it keeps nothing until a crash is reported."""

    def __init__(self) -> None:
        self._what = ""
        self._frames: list[tuple[str, str, str]] = []
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
        frames = []
        for frame in self._frames:  # the innermost first; what has called the target is ours
            if frame[0].startswith(_OWN):
                break
            frames.append(frame)
        text = "".join(
            f'  File "{file}", line {line}, in {name}\n' for file, line, name in reversed(frames)
        )
        return Failure(
            kind="Crash",
            message=self._what,
            traceback=f"Traceback (most recent call last):\n{text}{self._what}\n" if text else "",
            where=next((f"{file}:{line}" for file, line, _ in frames if _is_users(file)), ""),
        )


def _is_users(file: str) -> bool:
    return not file.startswith(_STDLIB) and "/site-packages/" not in file
