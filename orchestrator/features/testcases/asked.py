"""Questions to the child that looks at a case's items, and its answers."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = [
    "CaseQuestion",
    "Dead",
    "Difference",
    "DifferenceLine",
    "ExpectedItems",
    "Request",
    "Sign",
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
