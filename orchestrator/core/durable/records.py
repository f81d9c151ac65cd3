"""Records of what a run must not forget, as plain data. The broker notes them, a store keeps them.

Applied in order to an empty `StoredRun` they give the state of all queues; what one event leads to
is one `JournalEntry`, which is kept as a whole or not at all. Source: docs/semantics.md, *Durable
runs*.
"""

from __future__ import annotations

import enum

import msgspec

from orchestrator.core.protocol.events import AnyBlob

__all__ = [
    "Dealt",
    "Fate",
    "Gave",
    "Got",
    "ItemsEnded",
    "JobDone",
    "JournalEntry",
    "NewChunk",
    "PartiallyEmitted",
    "Passed",
    "Pending",
    "Progressed",
    "Put",
    "Read",
    "Record",
    "Returned",
    "Spilt",
    "Tapped",
    "TasksDone",
    "Tried",
]


class Fate(enum.IntEnum):
    """How an item has left its queue for good; DROPPED_FULL: dropped, as there was no room."""

    DONE = 0
    SKIPPED = 1
    DROPPED = 2
    DEAD = 3
    DROPPED_FULL = 4


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """Base of all records. `start` and `stop` (exclusive) count the items of a chunk."""


class Put(_Record, tag=1, frozen=True):
    """Items of a chunk are put on a queue."""

    queue: str
    chunk: int
    start: int
    stop: int


class Spilt(_Record, tag=2, frozen=True):
    """So many items were put on a queue that nobody reads any more, and are dropped."""

    queue: str
    n: int


class Gave(_Record, tag=3, frozen=True):
    """A job has put so many items."""

    job: str
    n: int


class ItemsEnded(_Record, tag=4, frozen=True):
    """Items have left their queue; `job` is whose work that was, empty for nobody's."""

    queue: str
    chunk: int
    start: int
    stop: int
    fate: Fate
    job: str = ""


class Tried(_Record, tag=5, frozen=True):
    """An attempt at an item has failed, the `attempts`-th; it is to be tried again by the job."""

    queue: str
    item: int
    attempts: int
    job: str


class Dealt(_Record, tag=6, frozen=True):
    """Items are leased to a worker that is called once: they stay its own until its job is done."""

    job: str
    worker: str
    queue: str
    chunk: int
    start: int
    stop: int


class Returned(_Record, tag=7, frozen=True):
    """Items that were dealt to a worker are anybody's again."""

    worker: str
    queue: str
    chunk: int
    start: int
    stop: int


class Read(_Record, tag=8, frozen=True):
    """A worker that is called once has finished so many of the items that were dealt to it."""

    worker: str
    queue: str
    n: int


class Progressed(_Record, tag=9, frozen=True):
    """What a worker that is called once has put on `outbox` in all, see `Position`."""

    job: str
    worker: str
    outbox: str
    n: int
    digest: int
    tail: int
    used: int


class TasksDone(_Record, tag=10, frozen=True):
    """A worker has called `task_done` so often."""

    worker: str
    queue: str
    n: int


class JobDone(_Record, tag=11, frozen=True):
    """The job has succeeded: it will not be run again."""

    job: str


class PartiallyEmitted(_Record, tag=12, frozen=True):
    """A part of what an item gives has been put: it cannot be tried again (rule 3)."""

    queue: str
    item: int
    job: str


class Pending(_Record, tag=13, frozen=True):
    """A chunk is put in part, and the rest of it waits for room; or does so no more."""

    chunk: int
    waits: bool


class Got(_Record, tag=15, frozen=True):
    """A target has got so many items of a queue, the next of those dealt to it; 0: its end.

    Noted in order, where it gets items of several queues.
    """

    job: str
    worker: str
    queue: str
    n: int


Record = (
    Put
    | Spilt
    | Gave
    | ItemsEnded
    | Tried
    | Dealt
    | Returned
    | Read
    | Progressed
    | TasksDone
    | JobDone
    | PartiallyEmitted
    | Pending
    | Got
)


class NewChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that the records of an entry are the first to name, with the checksum of its blob."""

    number: int
    packed: bool
    blob: AnyBlob
    crc: int


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Records that belong together, and the chunks that are new with them."""

    records: tuple[Record, ...]
    chunks: tuple[NewChunk, ...] = ()


class Tapped(msgspec.Struct, frozen=True, kw_only=True):
    """Items `start` to `stop` of a chunk have come onto a queue, also if nobody reads it any more.

    `packed`: each of them is a pickle in the pickled list that `blob` is, or in a block of it.
    """

    queue: str
    blob: AnyBlob
    packed: bool
    start: int
    stop: int


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Items `start` to `stop` of a chunk came onto a queue; the first has the number `first` there.

    `packed` as in `Tapped`.
    """

    blob: AnyBlob
    packed: bool
    start: int
    stop: int
    first: int
