"""Events: what has happened, in the past tense. All the core ever learns about the world.

Source: docs/semantics.md, *Events*.
"""

from __future__ import annotations

import abc
import enum

import msgspec

from orchestrator.core.protocol.messages import Failure, FromWorker

__all__ = [
    "AnyBlob",
    "Began",
    "Blame",
    "Blob",
    "BrokerNews",
    "Event",
    "Fenced",
    "InputEnded",
    "Interrupted",
    "ItemFatal",
    "ItemOverdue",
    "JobFinished",
    "Malformed",
    "Orphaned",
    "Phase",
    "PlacedBlob",
    "ProcessStarted",
    "PutRefused",
    "Received",
    "SourcesClosed",
    "StallDetected",
    "StartFailed",
    "StopAsked",
    "StopHow",
    "SupervisorNews",
    "Terminated",
    "Ticked",
    "Unstoppable",
    "WorkerDied",
    "WorkerJoined",
    "WorkerLeft",
    "whole",
]

Blob = bytes | bytearray | memoryview


class PlacedBlob(abc.ABC):
    """A chunk that is not in this process' memory; its place is kept while somebody has this."""

    __slots__ = ()

    @abc.abstractmethod
    def __len__(self) -> int:
        """Its bytes."""

    @abc.abstractmethod
    def read(self) -> Blob:
        """Return a copy of it."""


AnyBlob = Blob | PlacedBlob


def whole(blob: AnyBlob) -> Blob:
    """The chunk itself, wherever it lies."""
    return blob.read() if isinstance(blob, PlacedBlob) else blob


class Phase(enum.IntEnum):
    """What a worker's progress cell says it was doing."""

    IDLE = 0
    RUNNING = 1


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """The progress cell at a worker's death: the lease, and the index in it of its item."""

    lease: int = 0
    index: int = 0
    phase: Phase = Phase.IDLE


class Orphaned(enum.Enum):
    """What a worker depends on, and dies with though it has done nothing wrong."""

    FORKSERVER = "the forkserver that had made it"
    AGENT = "its agent"
    MACHINE = "its machine"


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


class Began(_Event, frozen=True, kw_only=True):
    """The run starts."""


class ProcessStarted(_Event, frozen=True, kw_only=True):
    """The worker's process exists."""

    worker: str
    pid: int


class StartFailed(_Event, frozen=True, kw_only=True):
    """The worker's process could not be made, which ends its life: what was sent to it is gone.

    `orphaned`: what was to make it, and is lost.
    """

    worker: str
    failure: Failure
    orphaned: Orphaned | None = None


class Received(_Event, frozen=True, kw_only=True):
    """A frame of the worker has arrived and was well formed."""

    worker: str
    message: FromWorker
    blobs: tuple[AnyBlob, ...] = ()


class WorkerDied(_Event, frozen=True, kw_only=True):
    """The worker's pidfd fired and its socket was read to the end.

    `exit_code` is that of the process, negative for a signal, None if it cannot be known. `item` is
    the id of the item that `blame` means, empty if it was at none, and the first of `among` items,
    of a batch; `item_name` is what that is called. `failure`: where a crash was, or where it hung
    that was killed for its item. `orphaned`: what it depends on, and dies with, was gone already
    (`failure`: why, if that is known). `made_progress`: an item that it has finished is committed;
    `committed`: anything is (the broker knows both).
    """

    worker: str
    exit_code: int | None
    blame: Blame = Blame()
    item: str = ""
    item_name: str = ""
    among: int = 1
    failure: Failure | None = None
    orphaned: Orphaned | None = None
    made_progress: bool = False
    committed: bool = False


class Malformed(_Event, frozen=True, kw_only=True):
    """What the worker sends is not the protocol, or it asks and does not read the answers.

    What came before it was received. The worker lives on until it is killed; `detail` says why.
    """

    worker: str
    detail: str


class Interrupted(_Event, frozen=True, kw_only=True):
    """SIGINT: the first drains, the second terminates, the third kills."""


class Terminated(_Event, frozen=True, kw_only=True):
    """SIGTERM or SIGHUP reached the run."""

    signal: int


class StopHow(enum.Enum):
    """How far a run is to be stopped."""

    DRAIN = "drain"
    """As by the first Ctrl-C: sources end, what is queued is finished."""
    TERMINATE = "terminate"
    """As by SIGTERM: all workers get their stop signal."""
    KILL = "kill"


class StopAsked(_Event, frozen=True, kw_only=True):
    """`mporch stop` asks the run to end: at least so far, however often it asks."""

    how: StopHow


class Ticked(_Event, frozen=True, kw_only=True):
    """The deadline that `next_deadline` named has come."""


class ItemOverdue(_Event, frozen=True, kw_only=True):
    """A worker's item, or its batch of so many (`among`), is past the job's `timeouts.item`."""

    worker: str
    item: str
    item_name: str = ""
    among: int = 1


class Unstoppable(_Event, frozen=True, kw_only=True):
    """A signal to the worker was refused: its process has become another user's."""

    worker: str


class Fenced(_Event, frozen=True, kw_only=True):
    """The worker may not commit any more; what it held goes back."""

    worker: str
    blame: Blame = Blame()


class ItemFatal(_Event, frozen=True, kw_only=True):
    """From the broker: an item ended as failed, which fails the job of `worker`."""

    worker: str
    queue: str
    item: str
    failure: Failure


class PutRefused(_Event, frozen=True, kw_only=True):
    """From the broker: what `worker` has finished found no room in time, which fails its job."""

    worker: str
    failure: Failure


class InputEnded(_Event, frozen=True, kw_only=True):
    """From the broker: every queue the job reads has ended; its workers have been told."""

    job: str


class StallDetected(_Event, frozen=True, kw_only=True):
    """From the broker: nothing can move any more; who waits (a worker, a job), and for what."""

    waits: tuple[tuple[str, str], ...]


class WorkerJoined(_Event, frozen=True, kw_only=True):
    """To the broker: a worker of the job exists and may speak."""

    worker: str
    job: str


class WorkerLeft(_Event, frozen=True, kw_only=True):
    """To the broker: the worker is dead. `returned`: its last message has said that its target had.

    `replaced`: its job goes on, so an item that has attempts left will be tried again.
    `failure` says how it died at the item that `blame` means. `taken` (standalone queues only)
    pairs leases with how many of their items `get` had returned.
    """

    worker: str
    returned: bool
    replaced: bool = True
    blame: Blame = Blame()
    failure: Failure | None = None
    taken: tuple[tuple[int, int], ...] = ()


class JobFinished(_Event, frozen=True, kw_only=True):
    """To the broker: no worker of the job lives or will live. `clean`: it succeeded.

    `final`: it will not be run again if the run is resumed. `awaited`: the queues it has not read
    to their ends wait for that, if the run can be resumed.
    """

    job: str
    clean: bool
    final: bool = False
    awaited: bool = False


class SourcesClosed(_Event, frozen=True, kw_only=True):
    """To the broker: the run drains; these workers' sources must end (they are sent `Stop`).

    There may be none.
    """

    workers: tuple[str, ...]


SupervisorNews = ItemFatal | PutRefused | InputEnded | StallDetected
BrokerNews = WorkerJoined | WorkerLeft | JobFinished | SourcesClosed
Event = (
    Began
    | ProcessStarted
    | StartFailed
    | Received
    | WorkerDied
    | Malformed
    | Interrupted
    | Terminated
    | StopAsked
    | Ticked
    | ItemOverdue
    | Unstoppable
    | Fenced
)
