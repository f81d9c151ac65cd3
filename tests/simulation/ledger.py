"""The model's own books: what became of each item, told by what crossed the broker's border."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import Commit, End, Leased, Released
from orchestrator.plan.model import ErrorAction

if TYPE_CHECKING:
    from orchestrator.core.durable.snapshot import StoredRun

    from .order import Orders
    from .topology import Job

_LAST = {
    ErrorAction.FAIL: End.FAILED,
    ErrorAction.SKIP: End.SKIPPED,
    ErrorAction.DEAD_LETTER: End.DEAD,
}


class Violation(AssertionError):
    """The broker has broken a rule."""


def check(fact: object, rule: str) -> None:
    if not fact:
        raise Violation(rule)


class Books:
    """Every item by (queue, number): who holds it, whether it is finished, what may come next."""

    def __init__(self, jobs: Mapping[str, Job], orders: Orders) -> None:
        self.chunks: list[tuple[int, ...]] = []
        self.put: Counter[str] = Counter()
        self.ends: Counter[tuple[str, End]] = Counter()
        self.retried: Counter[str] = Counter()
        self.charges: Counter[tuple[str, int]] = Counter()
        self.put_by: Counter[tuple[str, str]] = Counter()
        self._jobs = jobs
        self.orders = orders
        self.open_at: set[str] = set()
        self._sent: dict[tuple[str, str], deque[int]] = {}
        self._producers: dict[int, str] = {}
        self._identity: dict[tuple[str, int], int] = {}
        self._fresh: Counter[str] = Counter()
        self._passed: dict[str, set[int]] = {}
        self._returned: dict[str, set[int]] = {}
        self._retrying: dict[str, set[int]] = {}
        self._owner: dict[tuple[str, int], str] = {}
        self._finished: set[tuple[str, int]] = set()
        self._held: dict[str, dict[int, Lease]] = {}
        self._identities = 0
        self._processes: Counter[str] = Counter()

    def resumed(self, stored: StoredRun, known: Mapping[tuple[str, int], int]) -> Books:
        """The books of the run's next life; `known` are the identities of all that was put.

        What the image holds comes before all that is put from now on; what is somebody's own comes
        when he asks for it.
        """
        books = Books(self._jobs, self.orders)
        books.chunks, books._identities = self.chunks, self._identities
        books._identity = dict(known)
        for name, queue in stored.queues.items():
            books.put[name] = books._fresh[name] = queue.put
            held = {number for part in queue.held for number in part.numbers}
            books._returned[name] = held - queue.partially_emitted.keys()
            for number, attempts in queue.attempts.items():
                books.charges[name, number] = attempts
        for worker in stored.workers.values():
            for name, parts in worker.redelivered.items():
                own = books._retrying.setdefault(name, set())
                own.update(number for part in parts for number in part.numbers)
        return books

    def dropped(self, queue: str, number: int) -> None:
        """The item is dropped: nobody gets it any more."""
        check((queue, number) not in self._owner, f"{queue}:{number} is somebody's and is dropped")
        self._passed.setdefault(queue, set()).add(number)
        self._returned.get(queue, set()).discard(number)
        self._retrying.get(queue, set()).discard(number)
        self._finished.add((queue, number))
        self.orders.ended(queue, number)

    # -- chunks -----------------------------------------------------------------------------------

    def new_item(self) -> int:
        """An identity that no execution before has used."""
        self._identities += 1
        return self._identities

    def write(self, identities: list[int]) -> bytes:
        """A chunk: its number, and for each item some bytes more, of a few many."""
        self.chunks.append(tuple(identities))
        weight = sum(40 if identity % 11 == 0 else 1 + identity % 5 for identity in identities)
        return (len(self.chunks) - 1).to_bytes(4, "big") + bytes(weight)

    def chunk_of(self, blob: bytes) -> tuple[int, ...]:
        """The identities of a chunk's items."""
        return self.chunks[int.from_bytes(blob[:4], "big")]

    def read(self, message: Leased, blobs: tuple[bytes, ...]) -> list[tuple[int, int]]:
        """The (number, identity) of each item of a lease."""
        found: list[tuple[int, int]] = []
        check(len(blobs) == len(message.ranges), "a lease comes with a chunk for each range")
        for part, blob in zip(message.ranges, blobs, strict=True):
            chunk = self.chunk_of(blob)
            check(part.packed is bool(len(chunk) % 2), "a chunk is packed as it was put")
            check(0 <= part.start < part.stop <= len(chunk), "a range lies within its chunk")
            numbers = range(part.first, part.first + part.stop - part.start)
            found += zip(numbers, chunk[part.start : part.stop], strict=True)
        return found

    # -- what crosses the border ------------------------------------------------------------------

    def leased(self, worker: str, message: Leased, blobs: tuple[bytes, ...]) -> None:
        """A lease leaves the broker."""
        queue = message.queue
        items = self.read(message, blobs)
        check(items, "a lease is not empty")
        for number, identity in items:
            check((queue, number) not in self._owner, f"{queue}:{number} has one owner")
            check((queue, number) not in self._finished, f"{queue}:{number} is finished once")
            self._take_from_line(queue, number, identity)
            self._owner[queue, number] = worker
        numbers = [number for number, _ in items]
        self.orders.leased(queue, numbers)
        self._held.setdefault(worker, {})[message.lease] = Lease(queue, numbers)

    def _take_from_line(self, queue: str, number: int, identity: int) -> None:
        returned = self._returned.setdefault(queue, set())
        if number in returned or number in self._retrying.get(queue, ()):
            returned.discard(number)
            self._retrying.get(queue, set()).discard(number)
            check(self._identity[queue, number] == identity, f"{queue}:{number} is the same item")
            return
        check(not returned, f"{queue}: what came back is delivered before what was never out")
        self._fresh[queue] += 1
        while self._fresh[queue] in self._passed.get(queue, ()):
            self._fresh[queue] += 1
        check(number == self._fresh[queue], f"{queue}:{number} is delivered in the order of puts")
        if self.orders.is_ordered(identity):
            self._identity[queue, number] = identity
            return
        producer = self._producers.get(identity, "")
        line = self._sent.get((queue, producer))
        while line and line[0] != identity and queue in self._passed:
            line.popleft()
        check(line and line[0] == identity, f"{queue}: item {identity} of {producer!r} in order")
        assert line is not None
        line.popleft()
        self._identity[queue, number] = identity

    def may_commit(self, worker: str, message: Commit) -> bool:
        """Whether the worker holds what it finishes."""
        held = self._held.get(worker, {})
        wanted: Counter[int] = Counter()
        for lease, n in message.finished:
            wanted[lease] += n
        return all(lease in held and n <= len(held[lease].rest) for lease, n in wanted.items())

    def committed(
        self,
        worker: str,
        job: str,
        message: Commit,
        blobs: tuple[bytes, ...],
    ) -> Counter[str]:
        """A commit that must be applied reaches the broker; returns what is to be tried again."""
        ends = {mark.at: mark.end for mark in message.marks}
        again: Counter[str] = Counter()
        at = 0
        numbers: list[int] = []
        for number, n in message.finished:
            lease = self._held[worker][number]
            for _ in range(n):
                end, emitted = ends.get(at, End.DONE), worker in self.open_at
                numbers.append(lease.next())
                retried = self._end(lease.queue, numbers[-1], job, end, emitted=emitted)
                self.open_at.discard(worker)
                again[lease.queue] += retried
                at += 1
        self.orders.committed(job, message, numbers, [self.chunk_of(blob) for blob in blobs])
        for output, blob in zip(message.outputs, blobs, strict=True):
            identities = self.chunk_of(blob)
            process = self._process(worker)
            self._producers.update(dict.fromkeys(identities, process))
            for queue in output.queues:
                self._sent.setdefault((queue, process), deque()).extend(identities)
                self.put[queue] += output.n
                self.put_by[worker, queue] += output.n
            if output.counts is not None and any(output.counts[at:]):
                self.open_at.add(worker)
        return again

    def _end(self, queue: str, number: int, job: str, end: End, *, emitted: bool = False) -> bool:
        del self._owner[queue, number]
        if end is End.FAILED:
            used = self.charges[queue, number] = self.charges[queue, number] + 1
            if used < self._jobs[job].attempts and not emitted:
                self.retried[job] += 1
                self._retrying.setdefault(queue, set()).add(number)
                return True
            end = _LAST[self._jobs[job].otherwise]
        self.ends[queue, end] += 1
        self._finished.add((queue, number))
        if end not in (End.FAILED, End.FATAL):
            self.orders.ended(queue, number)
        return False

    def reopen(self, queue: str, numbers: range) -> None:
        """These were done and are not any more: what they gave will never have its turn."""
        for number in numbers:
            self._finished.discard((queue, number))
            self.ends[queue, End.DONE] -= 1

    def take_back(self, queue: str, worker: str, identities: Sequence[int]) -> None:
        """The last items that a worker has sent for the queue are not put after all."""
        if identities:
            line = self._sent[queue, self._producers[identities[0]]]
            last = [line.pop() for _ in identities]
            check(last[::-1] == list(identities), f"{queue}: the last of {worker} are taken back")
            self.put[queue] -= len(identities)
            self.put_by[worker, queue] -= len(identities)

    def undo(
        self,
        holder: str,
        lease: tuple[int, str],
        numbers: list[int],
        ends: Sequence[End | None],
        job: Job,
        *,
        gone: bool,
    ) -> None:
        """The last items of a lease that were finished are so no more: `holder` has them again."""
        leased, queue = lease
        for number, told in zip(numbers, ends, strict=True):
            self._owner[queue, number], end = holder, told or End.DONE
            if end is End.FAILED:
                self._uncharge(queue, number)
                end = _LAST[job.otherwise]
                if number in self._retrying.get(queue, ()):
                    self._retrying[queue].discard(number)
                    self.retried[job.name] -= 1
                    continue
            self.ends[queue, end] -= 1
            self._finished.discard((queue, number))
        if gone:
            self._held.setdefault(holder, {})[leased] = Lease(queue, numbers)
        else:
            self._held[holder][leased].done -= len(numbers)

    def _uncharge(self, queue: str, number: int) -> None:
        self.charges[queue, number] -= 1
        if not self.charges[queue, number]:
            del self.charges[queue, number]

    def unput(self, queue: str, worker: str, n: int) -> None:
        """The last items that a worker has put are forgotten: their item will be done anew."""
        self.put[queue] -= n
        self.put_by[worker, queue] -= n
        for _ in range(n):
            self._sent[queue, self._process(worker)].pop()

    def _process(self, worker: str) -> str:
        return f"{worker}/{self._processes[worker]}"

    def released(self, worker: str, message: Released, *, reserved: bool = False) -> Counter[str]:
        """A worker keeps the first items of a lease: how many leases came back, by queue.

        `reserved`: the others are still its own.
        """
        lease = self._held.get(worker, {}).get(message.lease)
        if lease is None:
            return Counter()
        back = lease.cut(message.kept)
        self._come_back(lease.queue, back, at_once=not reserved)
        return Counter({lease.queue: bool(back)})

    def left(
        self,
        worker: str,
        job: Job,
        blame: Blame,
        held: Mapping[int, tuple[int, bool]],
        *,
        reserved: bool = False,
    ) -> Counter[str]:
        """The worker is dead or fenced: what was in hand, by queue.

        `held`: of each lease, how many items are in hand, and whether a part of the first is put.
        `reserved`: it stays the worker's own until its job is over.
        """
        hands: Counter[str] = Counter()
        self._processes[worker] += 1
        self.open_at.discard(worker)
        for number, lease in self._held.pop(worker, {}).items():
            in_progress, emitted = held.get(number, (1, False))
            index = blame.index if number == blame.lease and blame.phase is Phase.RUNNING else -1
            rest, first = lease.rest, lease.done
            if emitted:
                parted = rest[:] if in_progress > 1 else rest[:1]
                first += len(parted)
                for item in parted:
                    self._spent(lease.queue, item, job, emitted=True)
                    rest.remove(item)
            if job.by_item and first <= index < len(lease.numbers):
                together = in_progress > 1 and len(lease.numbers) - index > 1
                if not together and self._spent(lease.queue, lease.numbers[index], job):
                    rest.remove(lease.numbers[index])
            hands[lease.queue] += len(rest)
            self._come_back(lease.queue, rest, at_once=not reserved)
        return hands

    def _spent(self, queue: str, number: int, job: Job, *, emitted: bool = False) -> bool:
        """The worker has died at this item: whether that was its last attempt."""
        self.charges[queue, number] += 1
        if self.charges[queue, number] < job.attempts and not emitted:
            return False
        self.ends[queue, _LAST[job.otherwise]] += 1
        self._finished.add((queue, number))
        if _LAST[job.otherwise] is not End.FAILED:
            self.orders.ended(queue, number)
        del self._owner[queue, number]
        return True

    def _come_back(self, queue: str, numbers: list[int], *, at_once: bool = True) -> None:
        for number in numbers:
            del self._owner[queue, number]
        line = self._returned if at_once else self._retrying
        line.setdefault(queue, set()).update(numbers)

    def waiting(self, queue: str) -> set[int]:
        """What has come back, and waits to be given to anybody."""
        return self._returned.get(queue, set())

    def rest_of(self, worker: str) -> list[tuple[str, int]]:
        """What the worker holds and has not finished."""
        leases = self._held.get(worker, {}).values()
        return [(lease.queue, number) for lease in leases for number in lease.rest]

    # -- the end ----------------------------------------------------------------------------------

    def has_ended(self, queue: str, number: int) -> bool:
        return (queue, number) in self._finished

    def unfinished(self, queue: str) -> int:
        """Items put on the queue that have not come to an end."""
        return self.put[queue] - sum(self.ends[queue, end] for end in End)


class Lease:
    """The numbers of a lease; the first `done` are finished."""

    def __init__(self, queue: str, numbers: list[int]) -> None:
        self.queue = queue
        self.numbers = numbers
        self.done = 0

    @property
    def rest(self) -> list[int]:
        return self.numbers[self.done :]

    def next(self) -> int:
        self.done += 1
        return self.numbers[self.done - 1]

    def cut(self, kept: int) -> list[int]:
        gone = self.numbers[kept:]
        del self.numbers[kept:]
        return gone
