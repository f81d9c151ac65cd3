"""Notifications: what an observer of a run (its log, its display) is told. Frozen data.

Each class here is one entry of the log's event catalogue. Times are the observer's business.
"""

from __future__ import annotations

import enum

import msgspec

from orchestrator.core.protocol.events import AnyBlob
from orchestrator.core.protocol.messages import Failure

__all__ = [
    "DiskFull",
    "DiskHasRoom",
    "HeldByRate",
    "ItemDead",
    "ItemFailed",
    "ItemKept",
    "ItemRetried",
    "ItemSkipped",
    "JobEnded",
    "JobStarted",
    "Ledger",
    "Logged",
    "Notification",
    "OutputLine",
    "ProcessesSurvived",
    "Progress",
    "QueueClosed",
    "QueueEnded",
    "RunEnded",
    "RunResumed",
    "RunStarted",
    "RunStopping",
    "SignalSent",
    "Stalled",
    "Stream",
    "Survivor",
    "WaitingFor",
    "Warned",
    "WorkerEnded",
    "WorkerReady",
    "WorkerReplaced",
    "WorkerStarted",
]


class Stream(enum.Enum):
    """Where a target wrote."""

    STDOUT = "stdout"
    STDERR = "stderr"


class _Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all facts."""


class Ledger(_Notification, frozen=True, kw_only=True):
    """What became of all that was put on a queue: put = done + skipped + dropped + dead + left.

    Until the run has ended, `left` is 0 and the sum may fall short by what is on its way.
    `peak` is the largest number of items the queue has held, `peak_bytes` their most bytes; None
    where nothing bounds them. What a resumed run delivers again is no part of either.
    """

    maxsize: int
    put: int = 0
    done: int = 0
    skipped: int = 0
    dropped: int = 0
    dead: int = 0
    left: int = 0
    peak: int = 0
    peak_bytes: int | None = None


class RunStarted(_Notification, frozen=True, kw_only=True):
    """The run begins; `protection` names the layers that keep processes from being left behind.

    `left_out` are jobs that were not chosen, `unread` queues whose readers are among them.
    `on` says where workers live, if not with the orchestrator. `processors`, their `quota`,
    `memory` and its limit are as in `core.samples.Header`.
    """

    name: str
    spec: str
    python: str
    pid: int
    protection: tuple[str, ...] = ()
    left_out: tuple[str, ...] | None = None
    unread: tuple[str, ...] | None = None
    on: str | None = None
    processors: int = 1
    quota: float | None = None
    memory: int | None = None
    memory_limit: int | None = None


class RunResumed(_Notification, frozen=True, kw_only=True):
    """The run goes on where its processes were killed.

    `queued` items are on its queues, `again` go once more to jobs that are called once, and
    `jobs_done` had succeeded. `lost` says what a damaged store has lost.
    """

    name: str
    spec: str
    python: str
    pid: int
    protection: tuple[str, ...] = ()
    left_out: tuple[str, ...] | None = None
    unread: tuple[str, ...] | None = None
    on: str | None = None
    processors: int = 1
    quota: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    queued: int = 0
    again: int = 0
    jobs_done: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class DiskFull(_Notification, frozen=True, kw_only=True):
    """A file of the run cannot be written: everything waits for room, `timeout_s` at most."""

    reason: str
    timeout_s: float


class DiskHasRoom(_Notification, frozen=True, kw_only=True):
    """It could be written after `waited_s`: the run goes on."""

    waited_s: float


class JobStarted(_Notification, frozen=True, kw_only=True):
    """The job's first worker is about to start."""

    job: str
    workers: int
    target: str


class WorkerStarted(_Notification, frozen=True, kw_only=True):
    """A worker's process exists; `name` is its multiprocessing name."""

    job: str
    worker: str
    pid: int
    start_method: str


class WorkerReady(_Notification, frozen=True, kw_only=True):
    """A worker's target is loaded; `start_s` is how long that took from its start."""

    job: str
    worker: str
    pid: int
    start_s: float


class ItemSkipped(_Notification, frozen=True, kw_only=True):
    """An item was skipped by `on_error`."""

    job: str
    worker: str
    item: str
    queue: str
    failure: Failure


class ItemRetried(_Notification, frozen=True, kw_only=True):
    """An item failed and will be tried again in `delay_s`; so many `attempts` are used up."""

    job: str
    worker: str
    item: str
    queue: str
    attempts: int
    delay_s: float
    failure: Failure


class ItemDead(_Notification, frozen=True, kw_only=True):
    """An item became a dead letter after so many `attempts`.

    It is the item at `index` of a chunk; the chunk is a pickle of a list, or, if `packed`, of a
    list of pickles or a row of blocks (`worker.blocks`).
    """

    job: str
    worker: str
    item: str
    queue: str
    attempts: int
    failure: Failure
    chunk: AnyBlob
    index: int
    packed: bool


class ItemKept(_Notification, frozen=True, kw_only=True):
    """An item that fails its job is kept beside the dead letters, as `ItemDead` has it."""

    job: str
    worker: str
    item: str
    queue: str
    attempts: int
    failure: Failure
    chunk: AnyBlob
    index: int
    packed: bool


class ItemFailed(_Notification, frozen=True, kw_only=True):
    """An item failed, which fails its job."""

    job: str
    worker: str
    item: str
    queue: str
    failure: Failure


class WorkerEnded(_Notification, frozen=True, kw_only=True):
    """A worker has ended in `state`; `exit_code` is negative for a signal.

    `failure` is the target's own; `reason` says in words what nobody else says (killed by SIGSEGV
    at item files:17, …).
    """

    job: str
    worker: str
    pid: int | None
    state: str
    exit_code: int | None
    reason: str = ""
    item: str = ""
    failure: Failure | None = None


class WorkerReplaced(_Notification, frozen=True, kw_only=True):
    """A worker has died as `reason` says, at `item` if at any, and a new process takes its place.

    It is the n-th of the job; `exit_code` is negative for a signal.
    """

    job: str
    worker: str
    pid: int | None
    exit_code: int | None
    reason: str
    n: int
    item: str = ""


class JobEnded(_Notification, frozen=True, kw_only=True):
    """A job has ended; `state` is its final state, `reason` why it was not a success."""

    job: str
    state: str
    reason: str = ""


class QueueEnded(_Notification, frozen=True, kw_only=True):
    """All writers have finished and all items are accounted for."""

    queue: str
    ledger: Ledger


class QueueClosed(_Notification, frozen=True, kw_only=True):
    """The last reader has gone before the end."""

    queue: str
    dropped: int = 0
    left: int = 0


class RunStopping(_Notification, frozen=True, kw_only=True):
    """The run is asked to stop; `how` is drain, stop, terminate or kill."""

    how: str
    reason: str


class SignalSent(_Notification, frozen=True, kw_only=True):
    """A worker was sent a signal, by its name."""

    job: str
    worker: str
    pid: int | None
    signal: str
    reason: str


class WaitingFor(_Notification, frozen=True, kw_only=True):
    """The run stops and waits for these workers, `timeout_s` at most until the next step.

    `doing` says of each, in the same order, at which item it is or what it waits for, if known.
    """

    workers: tuple[str, ...]
    timeout_s: float
    step: str
    doing: tuple[str, ...] = ()


class HeldByRate(_Notification, frozen=True, kw_only=True):
    """A run that drains waits for the rate of a job; told once a job.

    `queued` items have still to start, the next in `next_s` seconds.
    """

    job: str
    queued: int
    next_s: float


class Stalled(_Notification, frozen=True, kw_only=True):
    """Every live worker waits for another one; `waits` pairs workers and jobs with what for."""

    waits: tuple[tuple[str, str], ...]


class Warned(_Notification, frozen=True, kw_only=True):
    """Something the user may want to know, with what to do about it."""

    message: str
    hint: str = ""
    job: str | None = None
    worker: str | None = None
    queue: str | None = None


class OutputLine(_Notification, frozen=True, kw_only=True):
    """One line a worker's process wrote; `more` marks a line cut at the length limit.

    `ts` is when it was written, in Unix seconds; 0 if that is not known. `item` is the item it was
    written for, or the range of a batch; empty if nobody knows.
    """

    job: str
    worker: str
    pid: int
    stream: Stream
    text: str
    more: bool = False
    ts: float = 0.0
    item: str = ""
    attempt: int = 0


class Progress(_Notification, frozen=True, kw_only=True):
    """What a line that a worker's process goes on drawing anew shows now; for displays only."""

    job: str
    worker: str
    stream: Stream
    text: str


class Logged(_Notification, frozen=True, kw_only=True):
    """One record of a logging library in a worker, or a line of JSON that is one.

    `ts` is Unix time in seconds, `pid` the process that logged. `fields` is a JSON object in one
    line of ASCII, or empty; `cut` names the values that are not whole. `text` is what the program's
    own handler makes of the record for its console: None if it has none, empty if that keeps it
    off. `stream` is where a line of JSON was written.
    """

    job: str
    worker: str
    pid: int
    ts: float
    level: str
    logger: str
    msg: str
    traceback: str = ""
    fields: str = ""
    error_type: str = ""
    error: str = ""
    item: str = ""
    attempt: int = 0
    thread: str = ""
    call: str = ""
    text: str | None = None
    cut: tuple[str, ...] = ()
    stream: Stream | None = None


class Survivor(_Notification, frozen=True, kw_only=True):
    """A process that could not be killed: what ps(1) calls it, and the user it belongs to."""

    pid: int
    command: str
    user: str = ""


class ProcessesSurvived(_Notification, frozen=True, kw_only=True):
    """Processes of the run could not be killed, and outlive it."""

    processes: tuple[Survivor, ...]


class RunEnded(_Notification, frozen=True, kw_only=True):
    """The run is over."""

    status: str
    exit_code: int
    duration_s: float


Notification = (
    RunStarted
    | RunResumed
    | DiskFull
    | DiskHasRoom
    | JobStarted
    | WorkerStarted
    | WorkerReady
    | ItemSkipped
    | ItemRetried
    | ItemDead
    | ItemFailed
    | ItemKept
    | WorkerReplaced
    | WorkerEnded
    | JobEnded
    | QueueEnded
    | QueueClosed
    | RunStopping
    | SignalSent
    | WaitingFor
    | HeldByRate
    | Stalled
    | Warned
    | OutputLine
    | Logged
    | ProcessesSurvived
    | RunEnded
)
