"""Comparison of a case's items with what is expected of them, by a child.

Called in the parent, which never unpickles; `compare_child` is the child. Questions and answers are
the structs of this module.
"""

from __future__ import annotations

import enum
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from orchestrator.engine.node.keeper import END
from orchestrator.errors import TargetError

__all__ = [
    "CaseQuestion",
    "Dead",
    "Difference",
    "DifferenceLine",
    "ExpectedItems",
    "Request",
    "Sign",
    "compare",
]


class ExpectedItems(msgspec.Struct, frozen=True, kw_only=True):
    """What items are held against; None is not asked for. The words are those of the spec."""

    equals: Sequence[Any] | None = None
    in_any_order: Sequence[Any] | None = None
    contains: Sequence[Any] | None = None
    each: Any = None
    count: int | None = None
    at_least: int | None = None
    at_most: int | None = None


class CaseQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, or (`dead`) a job's dead letters, and what is wanted of the items."""

    name: str
    wanted: ExpectedItems
    dead: bool = False


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter's item: at `index` of a chunk's file, itself or, if `packed`, its pickle."""

    job: str
    path: str
    index: int
    packed: bool


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is to be looked at; paths are absolute.

    `recorded` is what a `Recorder` has written, empty if there is nothing of it.
    """

    asks: tuple[CaseQuestion, ...]
    recorded: str
    dead: tuple[Dead, ...]
    project_dir: str
    pythonpath: tuple[str, ...]


class Sign(enum.Enum):
    """What a line of a difference is of."""

    SAME = " "
    MISSING = "-"
    SURPLUS = "+"


class DifferenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One item, or one expected value, as text of one or more lines."""

    sign: Sign
    text: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as expected: of which queue or job, how, and item by item."""

    name: str
    dead: bool
    message: str
    hint: str = ""
    lines: tuple[DifferenceLine, ...] = ()


_LONGEST_S = 60.0
_PIECE_BYTES = 1 << 20


def compare(request: Request) -> tuple[Difference, ...]:
    """Return all that is not as wanted.

    Raises TargetError if the child dies of the items, or takes longer than a minute.
    """
    with _memory("request") as asked, _memory("answer") as answer:
        _write(asked, pickle.dumps(request, 5))
        os.lseek(asked, 0, os.SEEK_SET)
        command = [sys.executable, "-P", "-m", "orchestrator.features.testcases.compare_child"]
        code, said = _ended([*command, *map(str, (os.getpid(), asked, answer))], (asked, answer))
        os.lseek(answer, 0, os.SEEK_SET)
        with os.fdopen(os.dup(answer), "rb") as file:
            told = file.read()
    try:
        return msgspec.json.decode(told, type=tuple[Difference, ...])
    except msgspec.DecodeError:
        raise _failed(code, said) from None


def _ended(command: list[str], files: tuple[int, ...]) -> tuple[int, bytes]:
    """Return how the child ended, and what it said on standard error."""
    with subprocess.Popen(
        command,
        pass_fds=files,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            _, said = child.communicate(timeout=_LONGEST_S)
        except subprocess.TimeoutExpired:
            child.send_signal(END)
            raise TargetError(f"to look at the items took longer than {_LONGEST_S:g} s") from None
        except BaseException:
            child.send_signal(END)
            raise
    return child.returncode, said


@contextmanager
def _memory(name: str) -> Iterator[int]:
    fd = os.memfd_create(f"mporch-{name}")
    try:
        yield fd
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[:_PIECE_BYTES]) :]


def _failed(code: int, said: bytes) -> TargetError:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}"
    last = f": {lines[-1]}" if lines else ""
    return TargetError(f"the process that looks at the items {how}{last}")
