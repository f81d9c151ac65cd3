"""Reports of faulthandler: a crashed or hanging worker's becomes a failure like any other.

A worker is asked for its stack when it is killed for an item that takes too long. Called in the
parent.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TypeAlias

from orchestrator.core.protocol.messages import STOPPED, Failure
from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.files import PACKAGE
from orchestrator.ipc.cell import Cell

__all__ = ["CrashText", "StackRequest", "Unanswered", "stopped_in"]

_BEGIN = "Fatal Python error: "
_THREAD = "Current thread "
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
_MOST_LINES = 500
_LONGEST_LINE = 1000
_STDLIB = sysconfig.get_path("stdlib")

_MOST_S = 0.5
"""A worker that the kernel does not let run for so long will not answer."""

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


class StackRequest:
    """Asks a worker once, which ends it, and takes the answer from its cell."""

    def __init__(self, process: WorkerProcess, cell: Cell) -> None:
        self._process = process
        self._cell = cell
        self.asked = False

    def ask(self) -> bool:
        """Return whether the worker can be asked, and was; else it is to be killed without."""
        if not _hears(self._process.pid, STACK_SIGNAL):
            return False
        self._process.signal(STACK_SIGNAL)
        self.asked = not self._process.unstoppable
        return self.asked

    def answer(self) -> Failure | None:
        """Return where the target was, told as the stop signal is; None if that is not known.

        What is there though nobody has asked is a child's, or the target has sent the signal.
        """
        if not self.asked:
            return None
        return stopped_in(self._cell.stack().decode("utf-8", "backslashreplace"))


class Unanswered:
    """Workers that were asked and are not dead yet, each with a time limit."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, worker: str, now: float) -> None:
        """It was asked just now."""
        self._until[worker] = now + _MOST_S

    def remove(self, worker: str) -> None:
        """It is dead."""
        self._until.pop(worker, None)

    @property
    def waits(self) -> bool:
        """True if anybody was asked and is not dead yet."""
        return bool(self._until)

    def next_check(self) -> float | None:
        """Return when the first of them has had its time."""
        return min(self._until.values(), default=None)

    def due(self, now: float) -> Iterator[str]:
        """Those that are to be killed without an answer; each is told once."""
        for worker in [name for name, until in self._until.items() if until <= now]:
            del self._until[worker]
            yield worker


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


def _hears(pid: int, signum: int) -> bool:
    """True if the process has a handler and its main thread does not hold the signal back.

    A program that the target has executed has none.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "backslashreplace")
    except OSError:
        return False
    masks = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Sig"))
    caught, held = (int(masks.get(name, "0"), 16) for name in ("SigCgt", "SigBlk"))
    return bool((caught & ~held) >> (signum - 1) & 1)
