"""An account of a durable run over all of its lives that shares nothing with broker and image.

It is told what is written, entry by entry, and what workers are given, and resolves both to the
identities of items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from orchestrator.core.durable.records import Fate, ItemsEnded, JobDone, JournalEntry, Put, Spilt

from .ledger import check

Item = tuple[str, int]
"""A queue and a number."""


class Line:
    """Items that are one worker's own, as it got them; in this life it has got the first `at`.

    The first `before` of them it had got in a life before.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.items: list[Item] = list(items)
        self.before = len(self.items)
        self.at = 0

    def get(self, item: Item) -> None:
        if self.at < len(self.items):
            again = self.items[self.at]
            check(item == again, f"{item} is got, and it was {again} the first time")
        else:
            self.items.append(item)
        self.at += 1

    def lose(self, items: Iterable[Item]) -> None:
        for item in items:
            place = self.items.index(item)
            del self.items[place]
            self.at -= place < self.at
            self.before -= place < self.before

    def give_back(self, items: list[Item]) -> None:
        """Those that it got last it gives back, to get them once more."""
        self.at -= len(items)
        check(self.items[self.at : self.at + len(items)] == items, f"{items} are given back")


class Record:
    """What was put, by identity, and what has become of it."""

    def __init__(
        self,
        identities_of: Callable[[bytes], tuple[int, ...]],
        placed: Callable[[str, int], None],
    ) -> None:
        self.put: Counter[str] = Counter()
        self.spilt: Counter[str] = Counter()
        self.identity: dict[Item, int] = {}
        self.ends: dict[Item, Fate] = {}
        self.jobs_done: set[str] = set()
        self.lines: dict[str, Line] = {}
        self._written_lines: dict[str, list[Item]] = {}
        self._identities_of = identities_of
        self._note_placed = placed
        self._chunks: dict[int, tuple[int, ...]] = {}
        self._number: dict[tuple[str, int, int], int] = {}
        self._placed: dict[str, set[int]] = {}

    def placed(self, queue: str) -> set[int]:
        """The identities of all items ever put on the queue."""
        return self._placed.setdefault(queue, set())

    def line(self, worker: str) -> Line:
        return self.lines.setdefault(worker, Line())

    def read(self, entry: JournalEntry) -> None:
        """An entry was written."""
        for chunk in entry.chunks:
            self._chunks[chunk.number] = self._identities_of(bytes(chunk.blob))
        for step in entry.records:
            match step:
                case Put():
                    self._put(step)
                case Spilt():
                    self.put[step.queue] += step.n
                    self.spilt[step.queue] += step.n
                case ItemsEnded():
                    for at in range(step.start, step.stop):
                        number = self._number[step.queue, step.chunk, at]
                        self._end((step.queue, number), step.fate)
                case JobDone():
                    self._job_done(step.job)
        self._written_lines = {name: list(line.items) for name, line in self.lines.items()}

    def _put(self, step: Put) -> None:
        queue, identities = step.queue, self._chunks[step.chunk]
        for at in range(step.start, step.stop):
            self.put[queue] += 1
            number, identity = self.put[queue], identities[at]
            check(identity not in self.placed(queue), f"{queue}: item {identity} is put once")
            self.placed(queue).add(identity)
            self._number[queue, step.chunk, at] = number
            self.identity[queue, number] = identity
            self._note_placed(queue, identity)

    def _end(self, item: Item, fate: Fate) -> None:
        check(item in self.identity, f"{item} ends and was never put")
        check(item not in self.ends, f"{item} ends once")
        self.ends[item] = fate

    def _job_done(self, job: str) -> None:
        check(job not in self.jobs_done, f"{job} is done once")
        self.jobs_done.add(job)
        for key, line in self.lines.items():
            if key.partition("/")[0].rpartition("-")[0] == job:
                check(line.at == len(line.items), f"{key} has got all of its items again")
                for item in line.items:
                    self._end(item, Fate.DONE)
                line.items, line.at = [], 0

    def crash(self) -> None:
        """All workers are gone: each is to get again what is written to be its own."""
        self.lines = {}
        for name, items in self._written_lines.items():
            self.lines[name] = Line(items)
