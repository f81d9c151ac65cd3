"""Dumps of faulthandler: a crashed or hanging worker's is made a failure like any other.

A worker is asked for its stack when it is killed for what takes too long: an item, a start, the end
after a stop. Of a dump only the user's part is told. Called in the parent.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from orchestrator.compiled import is_compiled_source
from orchestrator.core.protocol.messages import STOPPED, Failure
from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.files import PACKAGE
from orchestrator.ipc.cell import Cell

__all__ = [
    "CrashText",
    "StackRequest",
    "ThreadDump",
    "Unanswered",
    "crash_in",
    "hears",
    "stopped_in",
    "threads_in",
    "users_part",
]

_BEGIN = "Fatal Python error: "
_THREAD = re.compile(
    r"(?P<current>Current t|T)hread 0x(?P<ident>[0-9a-f]+)(?: \[(?P<name>.*)\])? .*:|Stack .*:"
)
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')
_MOST_LINES = 500
_LONGEST_LINE = 1000
_STDLIB = sysconfig.get_path("stdlib")
_BEGINS = str(Path(__file__).with_name("child.py"))
"""What has called it is none of the worker's: of a fork, the orchestrator's own."""

_CALLERS = tuple(f"{PACKAGE}worker/{name}.py" for name in ("item_calls", "single_call", "target"))
"""What these call is the target, be it of Python's own library; the rest waits by its means."""

_WAYS_IN = ("<frozen importlib", f"{_STDLIB}/importlib", f"{_STDLIB}/contextlib")

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
            if found := _THREAD.fullmatch(text):
                self._inside = found["current"] != "T"
            elif self._inside and (frame := _FRAME.fullmatch(text)):
                self._frames.append((frame["file"], frame["line"], frame["name"]))

    def failure(self) -> Failure | None:
        """The crash, with the user's own frames; None if there was none."""
        if not self._what:
            return None
        return _crash(self._what, users_part(self._frames))


class StackRequest:
    """Asks a worker once, which ends it, and takes the answer from its cell."""

    def __init__(self, process: WorkerProcess, cell: Cell) -> None:
        self._process = process
        self._cell = cell
        self.asked = False

    def ask(self) -> bool:
        """Return whether the worker can be asked, and was; else it is to be killed without."""
        if not hears(self._process.pid, STACK_SIGNAL):
            return False
        self._process.signal(STACK_SIGNAL)
        self.asked = not self._process.unstoppable
        return self.asked

    def answer(self) -> Failure | None:
        """Return where the target was, told as the stop signal is; None if that is not known.

        What is there though nobody has asked is a child's, or the target has sent the signal: but
        a crash is told in any case.
        """
        report = self._cell.stack().decode("utf-8", "backslashreplace")
        return crash_in(report) or (stopped_in(report) if self.asked else None)


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


class ThreadDump(NamedTuple):
    """One thread of a dump, with the user's part of its frames, innermost first."""

    ident: str
    name: str
    is_current: bool
    frames: list[_Frame]


def threads_in(report: str) -> list[ThreadDump]:
    """Return the threads of a dump in their order: the newest first, the main one last."""
    idents = [("", "", True)]
    frames: list[list[_Frame]] = [[]]
    for line in (each[:_LONGEST_LINE] for each in report.splitlines()):
        if header := _THREAD.fullmatch(line):
            is_current = header["current"] != "T"
            idents.append((header["ident"] or "", header["name"] or "", is_current))
            frames.append([])
        elif frame := _FRAME.fullmatch(line):
            frames[-1].append((frame["file"], frame["line"], frame["name"]))
    begin = 0 if frames[0] else 1  # a dump that has lost its beginning
    return [
        ThreadDump(ident, name, is_current, users_part(theirs))
        for (ident, name, is_current), theirs in zip(idents[begin:], frames[begin:], strict=True)
    ]


def stopped_in(report: str) -> Failure | None:
    """Return where a worker was that was asked for its stack, as if it were stopped there.

    That is the thread which the signal has met, the main one; if it was in no code of the user's,
    it may have waited for another. None if there is no such code.
    """
    threads = threads_in(report)
    threads.sort(key=lambda thread: not thread.is_current)
    thread = next((each for each in threads if each.frames), None)
    if thread is None:
        return None
    which = "" if thread.is_current else f"  in thread {thread.name or f'0x{thread.ident}'}\n"
    return Failure(
        kind=STOPPED,
        message="stopped here",
        traceback=which + _text(thread.frames),
        where=_where(thread.frames),
    )


def crash_in(report: str) -> Failure | None:
    """Return the crash that a dump tells of; None if it was written for another reason."""
    what, _, rest = report.partition("\n")
    if not what.startswith(_BEGIN):
        return None
    frames = next((each.frames for each in threads_in(rest) if each.is_current), [])
    return _crash(what.removeprefix(_BEGIN), frames)


def users_part(frames: Sequence[_Frame]) -> list[_Frame]:
    """Return the frames that are neither mporch's own nor what it waits by, innermost first."""
    files = [file for file, _, _ in frames]
    if _BEGINS in files:
        frames = frames[: files.index(_BEGINS) + 1]
    ours = [n for n, frame in enumerate(frames) if _is_ours(frame)]
    kept = list(frames)
    if ours:
        first, last = ours[0], ours[-1]
        if all(not _is_users(file) for file, _, _ in frames[last + 1 :]):
            kept = kept[:last]
        waits = frames[first][0] not in _CALLERS and frames[first][2] != "_run"
        if waits and all(_is_stdlib(file) for file, _, _ in frames[:first]):
            kept = kept[first:]
        kept = [frame for frame in kept if not _is_ours(frame)]
    while kept and kept[-1][0].startswith((f"{_STDLIB}/threading.py", *_WAYS_IN)):
        kept.pop()
    return kept


def _crash(what: str, frames: Sequence[_Frame]) -> Failure:
    text = _text(frames)
    return Failure(
        kind="Crash",
        message=what,
        traceback=f"Traceback (most recent call last):\n{text}{what}\n" if text else "",
        where=_where(frames),
    )


def _text(frames: Iterable[_Frame]) -> str:
    """The frames as a traceback has them; they come with the innermost first."""
    lines = [f'  File "{file}", line {line}, in {name}\n' for file, line, name in frames]
    return "".join(reversed(lines))


def _where(frames: Iterable[_Frame]) -> str:
    return next((f"{file}:{line}" for file, line, _ in frames if _is_users(file)), "")


def _is_ours(frame: _Frame) -> bool:
    return frame[0].startswith(PACKAGE) or is_compiled_source(frame[0])


def _is_stdlib(file: str) -> bool:
    return file.startswith((_STDLIB, "<")) and "/site-packages/" not in file


def _is_users(file: str) -> bool:
    return not _is_stdlib(file) and "/site-packages/" not in file


def hears(pid: int, signum: int, *, held: bool = True) -> bool:
    """True if the process has a handler and its main thread does not hold the signal back.

    A program that the target has executed has none. Not `held`: another thread may hear it as well.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "backslashreplace")
    except OSError:
        return False
    masks = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Sig"))
    caught, blocked = (int(masks.get(name, "0"), 16) for name in ("SigCgt", "SigBlk"))
    return bool((caught & ~(blocked if held else 0)) >> (signum - 1) & 1)
