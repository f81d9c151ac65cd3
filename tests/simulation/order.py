"""Rule 17, told by what crosses the broker's border: outputs leave in the order of the input."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import OrderedWaiter
from orchestrator.core.protocol.messages import Commit

from .ledger import check

if TYPE_CHECKING:
    from .record import Record
    from .replay import Makers
    from .topology import Job
    from .world import World


class Parade:
    """One ordered job: what it was dealt, what it has finished, and what of that is put.

    `given` are the outputs of each item for each queue, as its commit has told them.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dealt: deque[int] = deque()
        self.finished: set[int] = set()
        self.given: dict[tuple[str, int], list[int]] = {}
        self._last: dict[str, tuple[int, int]] = {}

    def deal(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if not self.dealt or number > self.dealt[-1]:
                self.dealt.append(number)

    def place(self, queue: str, number: int, identity: int) -> None:
        """An output is on a queue: all that was dealt before its item has ended, and is put."""
        while self.dealt and self.dealt[0] < number and self.dealt[0] in self.finished:
            self.dealt.popleft()
        first = self.dealt[0] if self.dealt else number
        check(first >= number, f"{self.job.name}: item {number} leaves before {first} has ended")
        last, at = self._last.get(queue, (0, 0))
        check(number >= last, f"{self.job.name}: item {number} leaves after {last}")
        if number > last:
            left_whole = not last or at == len(self.given[queue, last])
            check(left_whole, f"{self.job.name}: item {last} has left {queue} in part only")
            at = 0
        check(self.given[queue, number][at] == identity, f"{queue}: item {identity} in its place")
        self._last[queue] = number, at + 1


class Orders:
    """All ordered jobs of a world that forgets."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.of_job = {job.name: Parade(job) for job in jobs if job.window is not None}
        self.of_queue = {parade.job.reads[0]: parade for parade in self.of_job.values()}
        self._origins: dict[int, tuple[Parade, int]] = {}

    def leased(self, queue: str, numbers: Iterable[int]) -> None:
        if parade := self.of_queue.get(queue):
            parade.deal(numbers)

    def ended(self, queue: str, number: int) -> None:
        if parade := self.of_queue.get(queue):
            parade.finished.add(number)

    def committed(
        self, job: str, message: Commit, numbers: list[int], chunks: list[tuple[int, ...]]
    ) -> None:
        parade = self.of_job.get(job)
        if parade is None:
            return
        for output, identities in zip(message.outputs, chunks, strict=True):
            line = iter(identities)
            counts = output.counts if output.counts is not None else (1,) * len(numbers)
            for number, n in zip(numbers, counts, strict=True):
                for _ in range(n):
                    identity = next(line)
                    self._origins[identity] = parade, number
                    for queue in output.queues:
                        parade.given.setdefault((queue, number), []).append(identity)

    def is_ordered(self, identity: int) -> bool:
        return identity in self._origins

    def placed(self, queue: str, identities: Iterable[int]) -> None:
        for identity in identities:
            if identity in self._origins:
                parade, number = self._origins[identity]
                parade.place(queue, number, identity)


def held(broker: Broker) -> Iterator[OrderedWaiter]:
    """What has no turn yet, or waits for room."""
    for job in broker.jobs.values():
        if job.reorder is not None:
            yield from job.reorder.held()
            if job.reorder.waiter is not None:
                yield job.reorder.waiter


def forget(world: World, before: Iterable[OrderedWaiter]) -> None:
    """Of a job that is over, what had no turn is forgotten: only then, and only what waited."""
    now = set(held(world.broker))
    for waiter in before:
        if waiter in now or waiter.at == waiter.items:
            continue
        job = waiter.client.job
        check(job.finished is not None, f"{job.name} is not over, and {waiter.first} is forgotten")
        parade = world.orders.of_job[job.name]
        open_ = [number for number in parade.dealt if number not in parade.finished]
        check(open_ and open_[0] < waiter.first, f"{job.name}: {waiter.first} had its turn")
        for part in waiter.parts:
            for queue in part.queues:
                n = part.n - part.used
                world.books.put[queue.name] -= n
                world.books.put_by[waiter.client.worker, queue.name] -= n
        (source,) = job.reads
        world.books.reopen(source.name, range(waiter.first, waiter.first + waiter.items))
        world.met.add("forgotten")


def check_rows(broker: Broker) -> None:
    """Rule 17: no row is longer than its window, no turn is overlooked, the sums add up."""
    for job in broker.jobs.values():
        reorder = job.reorder
        if reorder is None:
            continue
        check(
            reorder.out <= reorder.window,
            f"{job.name}: {reorder.out} items out, its window is {reorder.window}",
        )
        waiting = reorder.held()
        if reorder.waiter is not None:
            check(reorder.waiter.queues, f"{job.name}: what has its turn waits for nothing")
            waiting.append(reorder.waiter)
        outputs = sum(part.n - part.used for waiter in waiting for part in waiter.parts)
        check(
            reorder.outputs == outputs, f"{job.name}: {reorder.outputs} outputs held, not {outputs}"
        )
        check(job.parked == len(waiting), f"{job.name}: {job.parked} of {len(waiting)} are held")
        if reorder.waiter is None and reorder.out:
            is_held = reorder.first in {waiter.first for waiter in waiting}
            check(not is_held, f"{job.name}: {reorder.first} has its turn and is held")


class Lives:
    """The order over all lives of a durable run, told by what is written."""

    def __init__(self, jobs: Iterable[Job], makers: Makers) -> None:
        self._jobs = {job.name: job for job in jobs if job.window is not None}
        self._makers = makers
        self._last: Counter[tuple[str, str]] = Counter()
        self._seen: Counter[str] = Counter()
        self._new: list[tuple[str, str, int]] = []

    def placed(self, queue: str, identity: int) -> None:
        made = self._makers.made[identity]
        if made.job not in self._jobs:
            return
        last = self._last[made.job, queue]
        check(made.number >= last, f"{made.job}: item {made.number} leaves {queue} after {last}")
        self._last[made.job, queue] = made.number
        self._new.append((made.job, made.queue, made.number))

    def check_ended(self, record: Record) -> None:
        """An entry is written: all before the items that have left with it have ended."""
        for job, source, number in self._new:
            while self._seen[source] < number - 1:
                first = self._seen[source] + 1
                ended = (source, first) in record.ends
                check(ended, f"{job}: item {number} leaves before {first} has ended")
                self._seen[source] = first
        self._new.clear()
