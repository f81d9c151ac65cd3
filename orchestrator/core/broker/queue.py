"""One queue: what is on it, what is out on lease, how much room is left, and its ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator.core.broker.chunks import Chunk, Segment, cut, shares, without
from orchestrator.core.durable.records import Fate
from orchestrator.core.protocol.notifications import Ledger
from orchestrator.plan.model import WhenFull

if TYPE_CHECKING:
    from orchestrator.core.broker.clients import PendingPull, WorkerState
    from orchestrator.core.broker.reorder import ReorderBuffer
    from orchestrator.core.broker.tap import Tap
    from orchestrator.core.broker.waiting import Waiter
    from orchestrator.core.durable.journal import Journal

__all__ = ["LARGEST_CHUNK", "Chunk", "QueueState", "Segment", "chunk_items", "cut", "without"]

UNBOUNDED = 1 << 62
LARGEST_CHUNK = 4096
"""Items; nobody needs credits for more at a time."""
_CHUNKS_A_PRODUCER = 2


def chunk_items(maxsize: int, producers: int) -> int:
    """Items of a good chunk: half of one producer's share of the queue's bound (0: none)."""
    if maxsize <= 0:
        return LARGEST_CHUNK
    share = maxsize // (_CHUNKS_A_PRODUCER * max(1, producers))
    return max(1, min(LARGEST_CHUNK, share))


class QueueState:
    """A queue of the run.

    Counts are items. `hidden` is what is leased and not in hand, `outstanding` what is leased and
    not finished, `granted` what producers may put without asking (rule 1 of docs/semantics.md).
    `attempts` are those used up, by item; `suspects` are items of a batch that killed its worker,
    until they are handed out alone or have ended. `producers` is how many workers may ever put,
    None where that is not known. `rank` orders the queues so that what a job reads comes before
    what it writes. A batch's patience counts from `waited_for_since`, the collecting of room from
    `room_since`; `patience_at` and `recall_at` are set alarms. `closed_by` is the job that read it
    last. `awaited` are those of its readers that have ended and come again with the resumed run.
    `dropped_full` are those of the dropped for which there was no room. A queue that drops lets
    anybody put at any time: its `bound` and `bound_bytes`, as those of an unbounded one, are out of
    reach, and so is that of one that is `unread`: what is put there is dropped at once. A commit
    may wait for room for `patience_s`, None for ever; `limit_at` is the set alarm for that. The
    limit `rests` while a reader gets anew what it had: it makes no room before that is behind it.
    `size_bytes` are the bytes of the items that `size` counts; they are counted only where there is
    a `max_bytes` (the queue `weighs`). `reserved` are items that a worker had before the run was
    resumed, and gets again; they take no room, and those of them that are leased and hidden
    (`redelivered`, `redelivered_bytes`) are no part of a peak. Items of `partially_emitted`, by
    job, had given the job a part of what they give when the run was killed. `reorder` is that of
    its reader, if that keeps the order: then what comes back goes to its place, not to the head.
    `left_items` are the numbers of those that count as left already.
    """

    def __init__(
        self,
        name: str,
        maxsize: int,
        writers: Iterable[str],
        readers: Iterable[str],
        *,
        producers: int | None = None,
        when_full: WhenFull = WhenFull.BLOCK,
        max_bytes: int | None = None,
        patience_s: float | None = None,
        unread: bool = False,
    ) -> None:
        self.name = name
        self.rank = 0
        self.maxsize = maxsize
        self.producers = producers
        self.when_full = when_full
        self.patience_s = patience_s
        self.unread = unread
        self._drops = when_full.drops or unread
        self.bound = maxsize if maxsize > 0 and not self._drops else UNBOUNDED
        self.weighs = max_bytes is not None
        self.max_bytes = max_bytes or UNBOUNDED
        self.bound_bytes = UNBOUNDED if self._drops else self.max_bytes
        self.size_bytes = self.peak_bytes = 0
        self.segments: deque[Segment] = deque()
        self.queued = self.hidden = self.delayed = self.granted = self.outstanding = 0
        self.open_writers = set(writers)
        self.open_readers = set(readers)
        self.awaited: set[str] = set()
        self.writer_clients: dict[str, WorkerState] = {}
        self.reader_clients: dict[str, WorkerState] = {}
        self.pulls: dict[PendingPull, None] = {}
        self.joiners: dict[WorkerState, None] = {}
        self.waiters: list[Waiter] = []
        self.attempts: dict[int, int] = {}
        self.suspects: set[int] = set()
        self.closed = False
        self.closed_by = ""
        self.failed_downstream = False
        self.still_wanted = False  # a job that reads it has ended before it had enough
        self.ended = False
        self.recall_at: float | None = None
        self.patience_at: float | None = None
        self.waited_for_since: float | None = None
        self.room_since: float | None = None
        self.limit_at: float | None = None
        self.rests = False
        self.put = self.done = self.skipped = self.dropped = self.dead = self.left = 0
        self.left_items: list[range] = []
        self.dropped_full = 0
        self.tasks_done = 0
        self.peak = self.redelivered = self.redelivered_bytes = 0
        self.reserved: dict[str, deque[Segment]] = {}
        self.partially_emitted: dict[str, list[Segment]] = {}
        self.journal: Journal | None = None
        self.tap: Tap | None = None
        self.reorder: ReorderBuffer | None = None

    @property
    def size(self) -> int:
        """Items on the queue as `qsize` counts them: put, and not yet in a consumer's hand."""
        return self.queued + self.hidden + self.delayed

    @property
    def room(self) -> int:
        """Items that can be put now, promised room taken off; negative after a redelivery."""
        room = self.bound - self.queued - self.hidden - self.delayed - self.granted
        return room if self.size_bytes < self.bound_bytes else min(room, 0)

    @property
    def is_full(self) -> bool:
        """True if it holds as many items, or bytes, as it may."""
        return 0 < self.maxsize <= self.size or self.size_bytes >= self.max_bytes

    @property
    def limit_s(self) -> float | None:
        """Return how long who puts may wait for room now, None for ever."""
        return None if self.rests else self.patience_s

    @property
    def repeats(self) -> bool:
        """True if something is here, or on its way to a reader, that this had before."""
        return bool(self.reserved or self.redelivered)

    @property
    def is_kept(self) -> bool:
        """True if nobody reads it any more before the run is resumed: no room will be made."""
        return bool(self.awaited) and self.open_readers <= self.awaited

    @property
    def chunk_items(self) -> int:
        """Items a producer should put in one chunk."""
        return chunk_items(self.maxsize, self.producers or len(self.writer_clients))

    @property
    def in_advance(self) -> int:
        """Items for which credit may be given in advance to one producer (rule 4).

        Of several each may have its share of half of the room: nobody is kept from putting by it.
        """
        if self.size_bytes * 2 >= self.bound_bytes:
            return 0
        if self.producers == 1:
            return self.room
        return self.room // (2 * (self.producers or max(1, len(self.writer_clients))))

    @property
    def may_advance(self) -> bool:
        """True if credit may be given before anybody asks: to the only producer, or a chunk."""
        return self.in_advance >= (1 if self.producers == 1 else self.chunk_items)

    @property
    def drained(self) -> bool:
        """True if nothing is queued, delayed or leased."""
        here = self.queued or self.delayed or self.outstanding
        return not (here or self.reserved or self.partially_emitted)

    def tried(self, segments: Iterable[Segment]) -> tuple[tuple[int, int], ...]:
        """Those of the items that were tried before, with how often."""
        numbers = (n for part in segments for n in range(part.first, part.first + len(part)))
        return tuple((n, self.attempts[n]) for n in numbers if n in self.attempts)

    def before_alone(self, n: int) -> int:
        """Return how many of the first n items come before one that has to be handed out alone.

        That is what has failed, or killed a worker, alone or among others.
        """
        if not (self.suspects or self.attempts):
            return n
        at = 0
        for segment in self.segments:
            for number in segment.numbers:
                if at == n or number in self.suspects or number in self.attempts:
                    return at
                at += 1
        return at

    def append(self, chunk: Chunk, start: int, stop: int) -> None:
        """Put items at the tail; where nobody takes them they are counted and gone."""
        n = stop - start
        first = self.put + 1
        self.put += n
        if self.tap is not None:
            self.tap.put(self.name, chunk, start, stop)
        gone = self.closed or self.unread
        if self.journal is not None:
            if gone and not self.failed_downstream:
                self.journal.spilt(self.name, n)
            else:
                self.journal.put(self.name, chunk, start, stop)
        if gone:
            self._discard([range(first, first + n)])
            return
        segment = Segment(chunk, start, stop, first)
        self.segments.append(segment)
        self.queued += n
        if self.weighs:
            self.size_bytes += segment.size_bytes
        if self._drops and (over := self._surplus()) > 0:
            self._drop_full(over)
        self.peak = max(self.peak, self.size - self.redelivered)
        if self.weighs:
            self.peak_bytes = max(self.peak_bytes, self.size_bytes - self.redelivered_bytes)

    def weigh(self, segments: Iterable[Segment], sign: int = 1) -> None:
        """Count the bytes of items that come or, with -1, go; on an open queue."""
        if self.weighs and not self.closed:
            self.size_bytes += sign * sum([segment.size_bytes for segment in segments])

    def _surplus(self) -> int:
        """Return how many items are too many, by their number or their bytes."""
        many = self.size - self.maxsize if self.maxsize else 0
        return max(many, self._heavy()) if self.size_bytes >= self.max_bytes else many

    def _heavy(self) -> int:
        """Count those that must go, so that the last to stay came while there was room (rule 1)."""
        newest_first = self.when_full is WhenFull.DROP_NEWEST
        over, gone = self.size_bytes - self.max_bytes, 0
        newest = self.segments[-1].share(-1)
        for share in shares(self.segments, newest_first=newest_first):
            if over < (share if newest_first else newest):
                break
            over -= share
            gone += 1
        return gone

    def _drop_full(self, over: int) -> None:
        """So many items are too many: the newest go, or those that have waited longest."""
        gone = min(over, self.queued)
        kept = self.queued - gone
        if self.when_full is WhenFull.DROP_NEWEST:
            stay, lost = cut(self.segments, kept)
            self.segments, self.queued = deque(stay), kept
            self.weigh(lost, -1)
        else:
            lost = self.take(gone)
        if self.suspects:
            self.suspects.difference_update(*(part.numbers for part in lost))
        if self.reorder is not None:
            for part in lost:
                for number in range(part.first, part.first + len(part)):
                    self.reorder.end(number)
        self._note_dropped(lost, Fate.DROPPED_FULL)
        self.dropped += gone
        self.dropped_full += gone

    def give_back(self, segments: list[Segment]) -> None:
        """Return leased items to the head, in their order; in a reorder buffer, to their places."""
        if self.closed:
            self._note_dropped(segments)
            self._discard([segment.numbers for segment in segments])
            return
        head = self._merged(segments) if self.reorder is not None else segments
        self.segments.extendleft(reversed(head))
        self.queued += sum(map(len, segments))
        self.weigh(segments)

    def _merged(self, segments: list[Segment]) -> list[Segment]:
        """These, and those that were at the head and belong before the last of them, in order."""
        merged = list(segments)
        last = max((segment.first for segment in segments), default=0)
        while self.segments and self.segments[0].first < last:
            merged.append(self.segments.popleft())
        merged.sort(key=lambda segment: segment.first)
        return merged

    def take(self, n: int) -> list[Segment]:
        """Remove up to n items from the head; a batch waits anew for those that stay."""
        self.waited_for_since = None
        taken: list[Segment] = []
        while n > 0 and self.segments:
            segment = self.segments.popleft()
            here = segment.stop - segment.start
            if here > n:
                segment, rest = segment.split(n)
                self.segments.appendleft(rest)
                here = n
            taken.append(segment)
            n -= here
            self.queued -= here
        if self.weighs:
            self.weigh(taken, -1)
        return taken

    def take_together(self, n: int) -> list[Segment]:
        """Remove up to n items for a batch: those before one that goes alone, or that one."""
        together = self.before_alone(n)
        if not together:
            self.suspects.discard(self.segments[0].first)
        return self.take(max(1, together))

    def close(self, *, clean: bool, delayed: Iterable[Segment] = ()) -> int:
        """Nobody reads any more: what is here or `delayed` is dropped, or left after a failure.

        Returns how many items that are.
        """
        self.closed = True
        self.failed_downstream = not clean
        gone = [*self.segments, *delayed]
        self.queued = self.delayed = 0
        self.suspects.clear()
        self._note_dropped(gone)
        self.segments.clear()
        return self._discard([segment.numbers for segment in gone])

    def _note_dropped(self, segments: Iterable[Segment], fate: Fate = Fate.DROPPED) -> None:
        """Keep in the journal what a failure has left: a resumed run goes on with it."""
        if self.journal is not None and not self.failed_downstream:
            for segment in segments:
                self.journal.ended(self.name, segment, fate)

    # -- what a worker gets again -----------------------------------------------------------------

    def take_reserved(self, worker: str, n: int) -> list[Segment]:
        """Remove up to n items from what the worker is to get again."""
        line = self.reserved.get(worker)
        if line is None:
            return []
        taken: list[Segment] = []
        while line and n > 0:
            (head,), rest = cut([line.popleft()], n)
            taken.append(head)
            line.extendleft(rest)
            n -= len(head)
        if not line:
            del self.reserved[worker]
        return taken

    def reserve(self, worker: str, segments: list[Segment]) -> None:
        """The worker has not finished these: they stay its own, ahead of what it is to get."""
        if segments:
            self.reserved.setdefault(worker, deque()).extendleft(reversed(segments))

    def release_reserved(self, worker: str) -> None:
        """The worker will not come for the rest of it: anybody may have it."""
        segments = list(self.reserved.pop(worker, ()))
        if segments:
            if self.journal is not None:
                self.journal.returned(worker, self.name, segments)
            self.give_back(segments)

    def leave_own(self, job: str, workers: Iterable[str]) -> None:
        """A job has failed: its own items are left, for the job itself if the run is resumed."""
        lines = [self.reserved.pop(worker) for worker in workers]
        lines.append(deque(self.partially_emitted.pop(job, ())))
        self.leave(part.numbers for line in lines for part in line)

    def leave(self, numbers: Iterable[range]) -> None:
        """These items are left, and it is known which."""
        for part in numbers:
            self.left += len(part)
            self.left_items.append(part)

    def _discard(self, numbers: Sequence[range]) -> int:
        n = sum(map(len, numbers))
        if self.failed_downstream:
            self.leave(numbers)
        else:
            self.dropped += n
        return n

    def ledger(self, *, final: bool) -> Ledger:
        """The counts so far; `final` books what nobody took as left."""
        waiting = 0
        if final:
            own = [*self.reserved.values(), *self.partially_emitted.values()]
            redelivered = sum(len(part) for line in own for part in line)
            waiting = self.queued + self.delayed + self.outstanding + redelivered
        return Ledger(
            maxsize=self.maxsize,
            put=self.put,
            done=self.done,
            skipped=self.skipped,
            dropped=self.dropped,
            dead=self.dead,
            left=self.left + waiting,
            peak=self.peak,
            peak_bytes=self.peak_bytes if self.weighs else None,
        )
