"""Targets that repeat themselves, and workers that begin anew after what they have put already."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.protocol.messages import End

from . import shapes
from .boxes import Box, digest_of
from .client import Client, Moves
from .ledger import check

if TYPE_CHECKING:
    from .topology import Job


class Replay:
    """Compares what is put with what was put before: `n` items by digest, then those of a tail.

    `at` is how much has come again, with its digest.
    """

    def __init__(self, n: int, digest: int, tail: Sequence[int]) -> None:
        self._n = n
        self._digest_of_n = digest
        self._tail = tail
        self.at = 0, 0

    @property
    def digest(self) -> int:
        return self.at[1]

    @property
    def is_over(self) -> bool:
        return self.at[0] == self._n + len(self._tail)

    def repeats(self, identity: int) -> bool:
        """Take the next item; False if from now on items are to be put."""
        if self.is_over:
            return False
        at, digest = self.at
        if at >= self._n:
            check(identity == self._tail[at - self._n], "what is put again is the same")
        self.at = at + 1, digest_of((identity,), digest)
        if at + 1 == self._n:
            check(self.digest == self._digest_of_n, "all that is put again is the same")
        return True


class Made(NamedTuple):
    """What has made an item: an execution of a job's target for an item, or a source."""

    job: str
    queue: str
    number: int
    box: tuple[str, ...]
    execution: int


class Makers:
    """Identities over all lives: the same whenever a target that is called once makes it again."""

    def __init__(self) -> None:
        self.made: dict[int, Made] = {}
        self._repeated: dict[tuple[object, ...], int] = {}
        self._executions = self._identities = 0

    def execution(self) -> int:
        self._executions += 1
        return self._executions

    def new(self, made: Made) -> int:
        self._identities += 1
        self.made[self._identities] = made
        return self._identities

    def again(self, made: Made, at: int) -> int:
        key = (*made, at)
        if key not in self._repeated:
            self._repeated[key] = self.new(made)
        return self._repeated[key]


class Steady(shapes.Target):
    """A target in a durable run. `calm`: nothing fails in this life.

    `is_over`: whether nobody will put on the queue any more, in this life or another.
    """

    def __init__(
        self,
        job: Job,
        makers: Makers,
        failures_of: Callable[[str, int], int],
        *,
        calm: bool,
        is_over: Callable[[str], bool] = lambda queue: False,
    ) -> None:
        super().__init__(job, lambda: 0, failures_of)
        self._is_over = is_over
        self._makers = makers
        self._calm = calm
        self._execution = 0

    def begin(self, queue: str, number: int) -> None:
        self._execution = self._makers.execution() if self.job.by_item else 0

    def item(self, queue: str, number: int, box: Box, at: int) -> int:
        made = Made(self.job.name, queue, number, box.queues, self._execution)
        return self._makers.new(made) if self.job.by_item else self._makers.again(made, at)

    def source_item(self, worker: str, at: int, box: Box) -> int:
        return self._makers.again(Made(self.job.name, worker, 0, box.queues, 0), at)

    def returns(self, rng: random.Random, queue: str, number: int) -> bool:
        again = random.Random(f"{self.job.name}{queue}{number} returns")
        return again.random() < self.job.p_return

    def outputs(self, queue: str, number: int, box: Box) -> int:
        """At an end, which has no number, it puts one."""
        return super().outputs(queue, number, box) if number else 1

    def marks(self, queue: str) -> bool:
        return len(self.job.reads) > 1 and self._is_over(queue)

    def blocks(self, rng: random.Random) -> bool:
        return rng.random() < 0.1

    def end(self, queue: str, number: int) -> End:
        end = super().end(queue, number)
        return End.DONE if self._calm and end in (End.FAILED, End.FATAL) else end


def route(job: Job, worker: str, at: int) -> int:
    """Which box the source puts its item on."""
    return random.Random(f"{worker}{at}").randrange(len(job.boxes))


def source(client: Client, target: Steady) -> Moves:
    """Emits the same items in the same order whenever it is called.

    A bold one does not ask for room: what there is none for is parked, and put in part.
    """
    job = target.job
    client.bold = client.rng.random() < 0.3
    for at in range(job.items):
        if client.stop_asked:
            return
        box = client.boxes[route(job, client.name, at)]
        identity = target.source_item(client.name, at, box)
        if box.repeats(identity):
            continue
        while box.allowance < 1 and not box.shut and not client.bold:
            wait = client.rng.choice(job.waits)
            yield from client.wait_for_credit(box, wait, n=client.rng.choice((1, box.chunk)))
            yield lambda: True
            if client.stop_asked:
                return
        if not box.shut:
            box.items.append(identity)
        if len(box.items) >= box.chunk or client.rng.random() < 0.3:
            yield from client.commit()
        if client.rng.random() < 0.3:
            yield lambda: True


def life(client: Client, target: Steady) -> Moves:
    """A worker of a durable run from its first message to its last."""
    if target.job.shape is shapes.source:
        yield from source(client, target)
    else:
        yield from target.job.shape(client, target)
    for box in client.boxes:
        repeated = box.replay is None or box.replay.is_over or client.stop_asked
        check(repeated, f"{client.name} has put all that it had put on {box.queues} before")
    yield from client.close()
