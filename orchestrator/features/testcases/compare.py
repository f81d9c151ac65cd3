"""Comparison of a case's items with what is expected of them, by a child.

Called in the parent, which never unpickles; `compare_child` is the child. Questions and answers are
the structs of this module.
"""

from __future__ import annotations

import enum
import pickle
import signal
from collections.abc import Sequence
from typing import Any

import msgspec

from orchestrator.engine.node.child_program import ask_once
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
    """A dead letter's item: at `index` of a chunk's file, itself or, if `packed`, pickled there."""

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
_CHILD = "orchestrator.features.testcases.compare_child"


def compare(request: Request) -> tuple[Difference, ...]:
    """Return all that is not as wanted.

    Raises TargetError if the child dies of the items, or takes longer than a minute.
    """
    asked = pickle.dumps(request, 5)
    answer = ask_once(_CHILD, asked, timeout_s=_LONGEST_S, errors_only=True)
    if not answer.in_time:
        raise TargetError(f"to look at the items took longer than {_LONGEST_S:g} s")
    try:
        return msgspec.json.decode(answer.files[0], type=tuple[Difference, ...])
    except msgspec.DecodeError:
        raise _failed(answer.exit_code, answer.output) from None


def _failed(code: int, said: bytes) -> TargetError:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}"
    last = f": {lines[-1]}" if lines else ""
    return TargetError(f"the process that looks at the items {how}{last}")
