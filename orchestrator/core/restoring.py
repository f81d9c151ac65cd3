"""Puts a broker where an image of its run says it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

from orchestrator.core.board import Board
from orchestrator.core.events import Blob
from orchestrator.core.image import Image, QueueImage, WorkerImage
from orchestrator.core.position import Position
from orchestrator.core.queues import Chunk, QueueState, Segment, without
from orchestrator.core.ranges import Range
from orchestrator.core.repetition import Repetition

__all__ = ["Resumption", "restore"]


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """What a run goes on from: its image, rewound, and how the chunks it names are read.

    `load` takes a chunk's number, `packed` are the numbers of those that hold pickles.
    """

    image: Image
    load: Callable[[int], Blob]
    packed: frozenset[int] = frozenset()


def restore(board: Board, resumption: Resumption) -> None:
    """Fill a new board; what the image names and the plan has no more is an error (KeyError)."""
    image = resumption.image
    chunks = _Chunks(resumption)
    for name, held in image.queues.items():
        _fill(board.queues[name], held, chunks)
        board.dirty[board.queues[name]] = None
    for name, done in image.jobs.items():
        job = board.jobs[name]
        job.items_in, job.items_out = done.items_in, done.items_out
        job.skipped, job.retried, job.dead = done.skipped, done.retried, done.dead
    for name, worker in image.workers.items():
        for queue_name, again in worker.again.items():
            if again:
                board.queues[queue_name].reserved[name] = deque(chunks.segments(again))
        if worker.got:
            board.repetitions[name] = Repetition(_turns(board, worker))
        board.positions[name] = {
            box: Position(at.n, at.digest, chunks.get(at.tail) if at.tail else None, at.used)
            for box, at in worker.emitted.items()
        }
    for name in image.jobs_done:
        _finish(board, name)


def _fill(queue: QueueState, held: QueueImage, chunks: _Chunks) -> None:
    queue.put, queue.done, queue.skipped = held.put, held.done, held.skipped
    queue.dropped, queue.dead, queue.tasks_done = held.dropped, held.dead, held.tasks_done
    queue.shed, queue.left = held.shed, held.lost
    queue.attempts = dict(held.attempts)
    items = chunks.segments(sorted(held.held, key=lambda part: part.first))
    for number, job in held.parted.items():
        if (parted := _one(items, number)) is not None:
            queue.parted.setdefault(job, []).append(parted)
            items = without(items, number)
    queue.segments = deque(items)
    queue.queued = queue.peak = sum(map(len, items))
    queue.weigh(queue.segments)
    queue.peak_bytes = queue.size_bytes


def _one(segments: Iterable[Segment], number: int) -> Segment | None:
    """The item with this id, alone."""
    for segment in segments:
        if 0 <= (at := number - segment.first) < len(segment):
            return segment.split(at)[1].split(1)[0]
    return None


def _turns(board: Board, worker: WorkerImage) -> Iterator[tuple[QueueState, int]]:
    """The queues of what the worker is to get again, in order, each with how many items.

    What went with a damaged store comes no more.
    """
    there = {name: sum(map(len, parts)) for name, parts in worker.again.items()}
    for name, n in worker.got:
        left = min(n, there.get(name, 0))
        if left or not n:
            yield board.queues[name], left
        there[name] = there.get(name, 0) - left


def _finish(board: Board, name: str) -> None:
    """The job had succeeded before: it reads and writes no more."""
    job = board.jobs[name]
    job.finished = job.input_ended = job.final = True
    for queue in job.writes:
        queue.open_writers.discard(name)
        board.dirty[queue] = None
    for queue in job.reads:
        queue.open_readers.discard(name)
        queue.closed = not queue.open_readers


def _ranges(image: Image) -> Iterator[Range]:
    for queue in image.queues.values():
        yield from queue.held
    for worker in image.workers.values():
        for again in worker.again.values():
            yield from again


class _Chunks:
    """The chunks of a store, each once."""

    def __init__(self, resumption: Resumption) -> None:
        self._resumption = resumption
        self._made: dict[int, Chunk] = {}
        self._items: dict[int, int] = {}
        for part in _ranges(resumption.image):
            self._items[part.chunk] = max(part.stop, self._items.get(part.chunk, 1))

    def get(self, number: int) -> Chunk:
        if number not in self._made:
            load, packed = self._resumption.load, self._resumption.packed
            self._made[number] = Chunk(
                lambda: load(number),
                packed=number in packed,
                items=self._items.get(number, 1),  # as far as any is left, which is near enough
                number=number,
            )
        return self._made[number]

    def segments(self, parts: Iterable[Range]) -> list[Segment]:
        return [Segment(self.get(part.chunk), part.start, part.stop, part.first) for part in parts]
