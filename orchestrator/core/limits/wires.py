"""The wires of a run as numbers: who reads and writes which queue, and which jobs hang together."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.samples import Header

__all__ = ["Wires"]


class Wires:
    """Jobs and queues by their numbers in the header; what it names and does not have is left out.

    `groups` has the number of each job's group: jobs that queues connect, directly or not.
    """

    def __init__(self, header: Header) -> None:
        numbers = {queue.name: n for n, queue in enumerate(header.queues)}
        self.reads = [_known(job.reads, numbers) for job in header.jobs]
        self.writes = [_known(job.writes, numbers) for job in header.jobs]
        self.readers = _ends(self.reads, len(header.queues))
        self.writers = _ends(self.writes, len(header.queues))
        self.groups = self._grouped()
        self._upstream: dict[int, frozenset[int]] = {}

    def upstream(self, job: int) -> frozenset[int]:
        """Return the jobs whose items come to that one, directly or not."""
        if job not in self._upstream:
            found: set[int] = set()
            new = [job]
            while new:
                near = {w for q in self.reads[new.pop()] for w in self.writers[q]} - found
                found |= near
                new += near
            self._upstream[job] = frozenset(found)
        return self._upstream[job]

    def next_readers(self, job: int) -> set[int]:
        """Return who reads what the job writes, but for itself."""
        return {reader for queue in self.writes[job] for reader in self.readers[queue]} - {job}

    def next_writers(self, job: int) -> set[int]:
        """Return who writes what the job reads, but for itself."""
        return {writer for queue in self.reads[job] for writer in self.writers[queue]} - {job}

    def _grouped(self) -> list[int]:
        groups = [-1] * len(self.reads)
        seen: set[int] = set()
        for first in range(len(groups)):
            new = [first]
            while new:
                job = new.pop()
                if groups[job] < 0:
                    groups[job] = first
                    queues = {*self.reads[job], *self.writes[job]} - seen
                    seen |= queues
                    new += [end for q in queues for end in (*self.readers[q], *self.writers[q])]
        return groups


def _known(names: Iterable[str], numbers: dict[str, int]) -> tuple[int, ...]:
    return tuple(numbers[name] for name in dict.fromkeys(names) if name in numbers)


def _ends(of_jobs: list[tuple[int, ...]], n: int) -> list[list[int]]:
    ends: list[list[int]] = [[] for _ in range(n)]
    for job, queues in enumerate(of_jobs):
        for queue in queues:
            ends[queue].append(job)
    return ends
