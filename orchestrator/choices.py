"""Choices: the words that a key of the spec may have; the spec reads them, a run goes by them.

A word is declared here once. Every worker imports this module, which needs nothing but the standard
library.
"""

from __future__ import annotations

import enum

__all__ = [
    "AfterCondition",
    "Capture",
    "CommandInput",
    "CommandOutput",
    "ErrorAction",
    "FailurePolicy",
    "ReplayMode",
    "Shape",
    "StartMethod",
    "WhenFull",
]


class Shape(enum.Enum):
    """How a job's target is called; it follows from the job's keys and decides which keys fit."""

    TASK = "task"
    """No input and no named output: called once; what it returns is discarded. Write handles only
    make it a TASK too: a hand-written producer."""
    SOURCE = "source"
    """No input, a named output: called once, what it returns or yields is emitted."""
    ITEM = "item"
    """A named input: called for each item."""
    BATCH = "batch"
    """A named input, `call: batch`: called with lists of items."""
    STREAM = "stream"
    """A named input, `call: stream`: called once with an iterator of items."""
    HANDLES = "handles"
    """A map under `input`: called once with queue handles to read from."""

    @property
    def called_once(self) -> bool:
        """True if the target is called once a worker instead of once an item or batch."""
        return self not in (Shape.ITEM, Shape.BATCH)


class AfterCondition(enum.Enum):
    """The state of another job that a job waits for."""

    READY = "ready"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FINISHED = "finished"


class WhenFull(enum.Enum):
    """What becomes of an item that is put on a full queue, and of who puts it."""

    BLOCK = "block"
    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    FAIL = "fail"

    @property
    def drops(self) -> bool:
        """True if nobody ever waits for room: an item goes instead."""
        return self not in (WhenFull.BLOCK, WhenFull.FAIL)


class ErrorAction(enum.Enum):
    """What becomes of an item whose target raised."""

    FAIL = "fail"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"


class ReplayMode(enum.Enum):
    """Whether a job that is called once may be called again after it has put items."""

    NEVER = "never"
    SKIP = "skip"
    """What it has put is compared and skipped."""


class FailurePolicy(enum.Enum):
    """What becomes of the run when a job fails; the exit code is 1 in each case."""

    STOP = "stop"
    DRAIN = "drain"
    CONTINUE = "continue"


class StartMethod(enum.Enum):
    """The multiprocessing start method of a job's workers."""

    FORKSERVER = "forkserver"
    SPAWN = "spawn"
    FORK = "fork"


class Capture(enum.Enum):
    """What becomes of the lines that a job's processes print."""

    AUTO = "auto"
    """Those that are log records in JSON are log records."""
    TEXT = "text"
    """All of them are output."""


class CommandInput(enum.Enum):
    """What a command reads on its standard input."""

    NONE = "none"
    TEXT = "text"
    """Each item as text, and a newline."""
    JSON = "json"
    """Each item as a line of JSON."""


class CommandOutput(enum.Enum):
    """What becomes of a command's standard output."""

    LINES = "lines"
    """Each line is an item."""
    JSON = "json"
    """Each line is an item, in JSON."""
    TEXT = "text"
    """All of it is one item."""
    LOG = "log"
    """It is logged as that of any target."""
