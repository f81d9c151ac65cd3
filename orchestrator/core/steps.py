"""Steps: what a run must not forget, as plain data. The broker notes them, a store keeps them.

Applied in order to an empty `Image` they give the state of all queues; what one event leads to is
one `Entry`, which is kept as a whole or not at all. Source: docs/semantics.md, *Durable runs*.
"""

from __future__ import annotations

import enum

import msgspec

from orchestrator.core.events import Blob

__all__ = [
    "Dealt",
    "Emitted",
    "Ended",
    "Entry",
    "Fate",
    "Gave",
    "Got",
    "JobDone",
    "NewChunk",
    "Parted",
    "Pending",
    "Put",
    "Read",
    "Returned",
    "Spilt",
    "Step",
    "TasksDone",
    "Tried",
]


class Fate(enum.IntEnum):
    """How an item has left its queue for good. SHED ones are dropped, too: there was no room."""

    DONE = 0
    SKIPPED = 1
    DROPPED = 2
    DEAD = 3
    SHED = 4


class _Step(msgspec.Struct, frozen=True, array_like=True):
    """Base of all steps. `start` and `stop` (exclusive) count the items of a chunk."""


class Put(_Step, tag=1, frozen=True):
    """Items of a chunk are put on a queue."""

    queue: str
    chunk: int
    start: int
    stop: int


class Spilt(_Step, tag=2, frozen=True):
    """So many items were put on a queue that nobody reads any more, and are dropped."""

    queue: str
    n: int


class Gave(_Step, tag=3, frozen=True):
    """A job has put so many items."""

    job: str
    n: int


class Ended(_Step, tag=4, frozen=True):
    """Items have left their queue; `job` is whose work that was, empty for nobody's."""

    queue: str
    chunk: int
    start: int
    stop: int
    fate: Fate
    job: str = ""


class Tried(_Step, tag=5, frozen=True):
    """An attempt at an item has failed, the `attempts`-th; it is to be tried again by the job."""

    queue: str
    item: int
    attempts: int
    job: str


class Dealt(_Step, tag=6, frozen=True):
    """Items are leased to a worker that is called once: they stay its own until its job is done."""

    job: str
    worker: str
    queue: str
    chunk: int
    start: int
    stop: int


class Returned(_Step, tag=7, frozen=True):
    """Items that were dealt to a worker are anybody's again."""

    worker: str
    queue: str
    chunk: int
    start: int
    stop: int


class Read(_Step, tag=8, frozen=True):
    """A worker that is called once has finished so many of the items that were dealt to it."""

    worker: str
    queue: str
    n: int


class Emitted(_Step, tag=9, frozen=True):
    """What a worker that is called once has put on `box` in all, see `Position`."""

    job: str
    worker: str
    box: str
    n: int
    digest: int
    tail: int
    used: int


class TasksDone(_Step, tag=10, frozen=True):
    """A worker has called `task_done` so often."""

    worker: str
    queue: str
    n: int


class JobDone(_Step, tag=11, frozen=True):
    """The job has succeeded: it will not be run again."""

    job: str


class Parted(_Step, tag=12, frozen=True):
    """A part of what an item gives has been put: it cannot be tried again (rule 3)."""

    queue: str
    item: int
    job: str


class Pending(_Step, tag=13, frozen=True):
    """A chunk is put in part, and the rest of it waits for room; or does so no more."""

    chunk: int
    waits: bool


class Got(_Step, tag=15, frozen=True):
    """A target has got so many items of a queue, the next of those dealt to it; 0: its end.

    Noted in order, where it gets items of several queues.
    """

    job: str
    worker: str
    queue: str
    n: int


Step = (
    Put
    | Spilt
    | Gave
    | Ended
    | Tried
    | Dealt
    | Returned
    | Read
    | Emitted
    | TasksDone
    | JobDone
    | Parted
    | Pending
    | Got
)


class NewChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that the steps of an entry are the first to name."""

    number: int
    packed: bool
    blob: Blob


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that belong together, and the chunks that are new with them."""

    steps: tuple[Step, ...]
    chunks: tuple[NewChunk, ...] = ()
