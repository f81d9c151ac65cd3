"""A broker with hand-made queues and jobs, a clock that stands until moved, and no process."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from orchestrator.core.broker.bounds import ByteBound
from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import JobState, QueueClients, Waiter, WorkerState
from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.setup import Resumption, restore
from orchestrator.core.protocol.commands import Command, Notify, Send
from orchestrator.core.protocol.events import (
    Blame,
    BrokerNews,
    Event,
    Fenced,
    JobFinished,
    Phase,
    Received,
    SupervisorNews,
    Ticked,
    WorkerJoined,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import (
    Commit,
    CommitStatus,
    Committed,
    End,
    Failure,
    FromWorker,
    Leased,
    Mark,
    Output,
    Pull,
    Ready,
    Released,
    ToWorker,
    Unpull,
    Unwant,
    Want,
)
from orchestrator.core.protocol.notifications import Notification
from orchestrator.plan.model import BatchPlan, RetryPlan, WhenFull

M = TypeVar("M", bound=ToWorker)
F = TypeVar("F", bound=Notification)
N = TypeVar("N", bound=SupervisorNews)
V = TypeVar("V")

ERROR = Failure(kind="ValueError", message="bad")


def job(name: str, reads: str = "", writes: str = "", **keys: Any) -> dict[str, Any]:
    """A job: the names of the queues it reads and writes, separated by blanks."""
    return {"name": name, "reads": reads.split(), "writes": writes.split(), **keys}


def output(
    queue: str, n: int, counts: Sequence[int] | None = None, size: int | None = None
) -> Output:
    """One chunk of n items for each of the queues named, which a `+` separates.

    Each item has one byte, unless the `size` of all is said.
    """
    size = n if size is None else size
    return Output(
        queues=tuple(queue.split("+")),
        n=n,
        size=size,
        packed=False,
        counts=None if counts is None else tuple(counts),
        crc=zlib.crc32(bytes(size)),
    )


class FakeBroker:
    """Tells a broker what happens and keeps what it sends to each worker.

    `queues` gives the bounds, `workers` how many each job has (one unless said); they are named
    `job-1`, `job-2`, …, and have joined and are ready.
    """

    def __init__(
        self,
        queues: Mapping[str, int],
        *jobs: dict[str, Any],
        workers: Mapping[str, int] | None = None,
        ack_on_get: bool = False,
        when_full: WhenFull | Mapping[str, WhenFull] = WhenFull.BLOCK,
        max_bytes: int | Mapping[str, int] | None = None,
        soft_bytes: int | Mapping[str, int] | None = None,
        patience_s: Mapping[str, float] | None = None,
        journal: Journal | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        states = {
            name: QueueState(
                name,
                maxsize,
                writers=[job["name"] for job in jobs if name in job["writes"]],
                readers=[job["name"] for job in jobs if name in job["reads"]],
                producers=None
                if ack_on_get
                else sum(
                    (workers or {}).get(job["name"], 1) for job in jobs if name in job["writes"]
                ),
                when_full=_of(name, when_full, WhenFull.BLOCK),
                max_bytes=_of(name, max_bytes, None),
                soft_bytes=_of(name, soft_bytes, None),
                batch=max(
                    (job["batch"].size for job in jobs if name in job["reads"] and "batch" in job),
                    default=1,
                ),
                patience_s=(patience_s or {}).get(name),
            )
            for name, maxsize in queues.items()
        }
        self.broker = Broker(
            states.values(),
            [_ports(job, states) for job in jobs],
            ack_on_get=ack_on_get,
            journal=journal,
        )
        if resumption is not None:
            restore(self.broker._state, resumption)
        self.now = 0.0
        self.sent: dict[str, list[Send]] = {}
        self.others: list[Command | SupervisorNews] = []
        self._seqs: dict[str, int] = {}
        self._numbers = 0
        for made in jobs:
            for index in range((workers or {}).get(made["name"], 1)):
                self.join(f"{made['name']}-{index + 1}")

    # -- what happens -----------------------------------------------------------------------------

    def tell(self, event: Event | BrokerNews) -> None:
        for order in self.broker.handle(event, self.now):
            if isinstance(order, Send):
                _check(order)
                self.sent.setdefault(order.worker, []).append(order)
            else:
                self.others.append(order)

    def say(self, worker: str, message: FromWorker, blobs: tuple[bytes, ...] = ()) -> None:
        """Of the chunks only their number and sizes count: each has what its output announces."""
        blobs = tuple(bytes(len(blob)) for blob in blobs)
        self.tell(Received(worker=worker, message=message, blobs=blobs))

    def join(self, worker: str) -> None:
        self._seqs[worker] = 0
        self.tell(WorkerJoined(worker=worker, job=worker.rsplit("-", 1)[0]))
        self.say(worker, Ready())

    def leave(self, worker: str, *, lease: int = 0, index: int = 0, running: bool = False) -> None:
        """The worker is dead; with `running`, at that item of that lease."""
        self.tell(WorkerLeft(worker=worker, returned=False, blame=_blame(lease, index, running)))

    def fence(self, worker: str, *, lease: int = 0, index: int = 0, running: bool = False) -> None:
        self.tell(Fenced(worker=worker, blame=_blame(lease, index, running)))

    def finish(self, *jobs: str, clean: bool = True) -> None:
        for name in jobs:
            self.tell(JobFinished(job=name, clean=clean))

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.tell(Ticked())

    # -- what workers say -------------------------------------------------------------------------

    def pull(self, worker: str, queues: str, most: int = 1, **keys: Any) -> int:
        self._numbers += 1
        names = tuple(queues.split())
        self.say(worker, Pull(pull=self._numbers, queues=names, most=most, **keys))
        return self._numbers

    def lease(self, worker: str, queues: str, most: int = 1, **keys: Any) -> int:
        """Pull, and return the number of the lease got at once."""
        self.pull(worker, queues, most, **keys)
        return self.last(worker, Leased).lease

    def want(
        self, worker: str, queue: str, n: int = 1, *, unsent: int | None = None, **keys: Any
    ) -> int:
        """Ask for credits; unless said, the worker knows of all it has, and has used them."""
        self._numbers += 1
        if unsent is None:
            unsent = self.port(worker).credits.get(queue, 0)
        self.say(worker, Want(want=self._numbers, queue=queue, unsent=unsent, n=n, **keys))
        return self._numbers

    def unpull(self, worker: str, pull: int) -> None:
        self.say(worker, Unpull(pull=pull))

    def unwant(self, worker: str, want: int) -> None:
        self.say(worker, Unwant(want=want))

    def commit(
        self,
        worker: str,
        *outputs: Output,
        done: Sequence[tuple[int, int]] = (),
        ends: Mapping[int, End] | None = None,
        returned: Sequence[tuple[str, int]] = (),
        got: Sequence[tuple[str, int]] = (),
    ) -> int:
        """A commit with the next sequence number; `ends` are those of items not plainly done."""
        self._seqs[worker] += 1
        marks = tuple(Mark(at=at, end=end, failure=ERROR) for at, end in (ends or {}).items())
        message = Commit(
            seq=self._seqs[worker],
            finished=tuple(done),
            marks=marks,
            outputs=outputs,
            returned=tuple(returned),
            got=tuple(got),
        )
        self.say(worker, message, tuple(bytes(made.size) for made in outputs))
        return self._seqs[worker]

    def put(self, worker: str, queue: str, n: int = 1, size: int | None = None) -> None:
        """Emit n items that belong to no input, as a source does."""
        self.commit(worker, output(queue, n, (n,), size))

    def release(self, worker: str, lease: int, kept: int) -> None:
        self.say(worker, Released(lease=lease, kept=kept))

    # -- what comes of it -------------------------------------------------------------------------

    def queue(self, name: str) -> QueueState:
        return self.broker.queues[name]

    def waiters(self, queue: str) -> Sequence[Waiter]:
        """Who waits for room at the queue, the oldest first."""
        return self.broker._state.lines.of(self.queue(queue))

    def at(self, queue: str) -> QueueClients:
        """Who reads and writes the queue, and waits for its items."""
        return self.broker._state.at[self.queue(queue)]

    def may_advance(self, queue: str) -> bool:
        return self.broker._credits.may_advance(self.queue(queue))

    def weight(self, queue: str) -> ByteBound:
        weight = self.queue(queue).weight
        assert weight is not None
        return weight

    def port(self, worker: str) -> WorkerState:
        return self.broker.clients[worker]

    def got(self, worker: str, kind: type[M]) -> list[M]:
        """Every message of that kind the worker was sent."""
        return [s.message for s in self.sent.get(worker, []) if isinstance(s.message, kind)]

    def last(self, worker: str, kind: type[M]) -> M:
        return self.got(worker, kind)[-1]

    def items(self, worker: str) -> list[int]:
        """The numbers of all items leased to the worker, in order."""
        return [
            number
            for lease in self.got(worker, Leased)
            for part in lease.ranges
            for number in range(part.first, part.first + part.stop - part.start)
        ]

    def applied(self, worker: str) -> list[int]:
        """The sequence numbers of the worker's applied commits."""
        answers = self.got(worker, Committed)
        return [a.seq for a in answers if a.status is CommitStatus.APPLIED]

    def facts(self, kind: type[F]) -> list[F]:
        return [
            order.notification
            for order in self.others
            if isinstance(order, Notify) and isinstance(order.notification, kind)
        ]

    def news(self, kind: type[N]) -> list[N]:
        """What the supervisor is told."""
        return [order for order in self.others if isinstance(order, kind)]

    def counts(self, queue: str) -> dict[str, int]:
        """What the ledger books, without the counts that are 0."""
        names = ("put", "done", "skipped", "dropped", "dead", "left")
        state = self.queue(queue)
        return {name: getattr(state, name) for name in names if getattr(state, name)}


def _check(order: Send) -> None:
    """Each chunk goes on with its own checksum, however it was cut, kept or given back."""
    if isinstance(order.message, Leased):
        crcs = [part.crc for part in order.message.ranges]
        assert crcs == [zlib.crc32(blob) for blob in order.blobs]


def _of(name: str, setting: V | Mapping[str, V], default: V) -> V:
    """A setting of one queue: that of all, or its own."""
    return setting.get(name, default) if isinstance(setting, Mapping) else setting


def _blame(lease: int, index: int, running: bool) -> Blame:
    return Blame(lease=lease, index=index, phase=Phase.RUNNING if running else Phase.IDLE)


def _ports(made: dict[str, Any], states: Mapping[str, QueueState]) -> JobState:
    reads, writes = ([states[name] for name in made[key]] for key in ("reads", "writes"))
    keys = {key: made[key] for key in made.keys() - {"name", "reads", "writes"}}
    delay_s = keys.pop("retry_delay_s", 0.0)
    retry = RetryPlan(attempts=keys.pop("attempts", 1), initial_s=delay_s, max_s=delay_s)
    keys.setdefault("batch", BatchPlan(size=9, within_s=3600.0))
    return JobState(made["name"], reads, writes, retry=retry, **keys)
