"""One queue: what is on it, what is out on lease, how much room is left, and its ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from orchestrator.core.broker.bounds import POLICIES, UNBOUNDED, ByteBound, Unread
from orchestrator.core.broker.chunks import Chunk, Segment, cut
from orchestrator.core.broker.meters import QueueMeter
from orchestrator.core.broker.reorder import ReorderBuffer
from orchestrator.core.durable.records import Fate
from orchestrator.core.protocol.notifications import Ledger
from orchestrator.plan.model import WhenFull

__all__ = ["LARGEST_CHUNK", "OwnItems", "QueueObserver", "QueueState", "chunk_items"]

LARGEST_CHUNK: Final = 4096
"""Items; nobody needs credits for more at a time."""
_CHUNKS_A_PRODUCER: Final = 2


def chunk_items(maxsize: int, producers: int) -> int:
    """Items of a good chunk: half of one producer's share of the queue's bound (0: none)."""
    if maxsize <= 0:
        return LARGEST_CHUNK
    share = maxsize // (_CHUNKS_A_PRODUCER * max(1, producers))
    return max(1, min(LARGEST_CHUNK, share))


class QueueObserver:
    """Hooks of a queue, named by it: each does nothing unless an observer has its own."""

    def put(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items have come onto the queue, or are left there since its readers have failed."""

    def spilt(self, queue: str, chunk: Chunk, start: int, stop: int) -> None:
        """Items were put where nobody reads any more, and are dropped."""

    def ended(self, queue: str, part: Segment, fate: Fate, job: str = "") -> None:
        """Items have left the queue for good, by the work of a job or by nobody's."""

    def returned(self, worker: str, queue: str, segments: Iterable[Segment]) -> None:
        """Items that were kept for a worker are anybody's again."""


class OwnItems:
    """Items of a queue that are one worker's or one job's alone, though nobody has them in hand."""

    __slots__ = ("partially_emitted", "redelivered", "reserved")

    def __init__(self) -> None:
        # By worker, what it had before it died or the run was resumed, and gets again: no room.
        self.reserved: dict[str, deque[Segment]] = {}
        # By job, what had given a part of its outputs when the run was killed.
        self.partially_emitted: dict[str, list[Segment]] = {}
        # Those of the reserved that are leased again and hidden: no part of a peak.
        self.redelivered = 0

    def segments(self) -> Iterator[Segment]:
        """Those that are not leased."""
        for line in (*self.reserved.values(), *self.partially_emitted.values()):
            yield from line

    def take(self, worker: str, n: int) -> list[Segment]:
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


class QueueState:
    """A queue of the run: its items, its room and its ledger. All counts are items.

    Who reads it, writes it and waits at it is in `clients.QueueClients` and `state.WaitLines`.
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
        soft_bytes: int | None = None,
        batch: int = 1,
        patience_s: float | None = None,
        unread: bool = False,
    ) -> None:
        self.name = name
        self.maxsize = maxsize
        self.producers = producers  # how many workers may ever put, None where that is not known
        self.policy = (Unread if unread else POLICIES[when_full])(patience_s)
        drops = self.policy.drops
        self.bound = maxsize if maxsize > 0 and not drops else UNBOUNDED
        # Its bytes, counted only where they have a bound.
        self.weight: ByteBound | None = None
        if max_bytes is not None:
            self.weight = ByteBound(max_bytes, drops=drops)
        elif soft_bytes is not None:
            self.weight = ByteBound(soft_bytes, drops=drops, soft=True, batch=batch)
        # That of its reader, if this keeps the order: what comes back goes to its place then.
        self.reorder: ReorderBuffer[Any] | None = None
        self.observers: tuple[QueueObserver, ...] = ()
        self.segments: deque[Segment] = deque()
        self.queued = self.delayed = 0
        self.hidden = 0  # leased, and not in hand: it counts as being on the queue
        self.outstanding = 0  # leased, and not finished
        self.granted = 0  # what producers may put without asking (rule 1 of docs/semantics.md)
        self.own = OwnItems()
        self.attempts: dict[int, int] = {}  # those used up, by item
        # Items of a batch that killed its worker, until handed out alone or ended.
        self.suspects: set[int] = set()
        self.open_writers = set(writers)
        self.open_readers = set(readers)
        # Those of its readers that have ended and come again with the resumed run.
        self.awaited: set[str] = set()
        self.closed = self.failed_downstream = self.ended = False
        # The moment from which a batch's patience counts.
        self.waited_for_since: float | None = None
        self.put = self.done = self.skipped = self.dropped = self.dead = self.left = 0
        self.left_items: list[range] = []  # the numbers of those that count as left already
        self.tasks_done = self.peak = 0
        self.meter = QueueMeter()

    @property
    def size(self) -> int:
        """Items on the queue as `qsize` counts them: put, and not yet in a consumer's hand."""
        return self.queued + self.hidden + self.delayed

    @property
    def room(self) -> int:
        """Items that can be put now, promised room taken off; negative after a redelivery."""
        room = self.room_in_items
        weight = self.weight
        if weight is None or weight.size < weight.bound or weight.gives_way(self.size, self.queued):
            return room
        return min(room, 0)

    @property
    def room_in_items(self) -> int:
        """The room there would be if bytes had no bound."""
        return self.bound - self.queued - self.hidden - self.delayed - self.granted

    @property
    def is_exact(self) -> bool:
        """True if the spec bounds its bytes."""
        return self.weight is not None and not self.weight.soft

    @property
    def is_soft(self) -> bool:
        """True if its bytes are bounded though the spec does not say so."""
        return self.weight is not None and self.weight.soft

    @property
    def credit_room(self) -> int:
        """Items for which credit can be given now: less than there is room for if they are heavy.

        One at least, if there is room and nobody has credit.
        """
        room, weight = self.room, self.weight
        if weight is None or not weight.soft or room < 1:
            return room
        more = weight.as_credit(self.size, self.queued) - self.granted
        return min(room, max(more, 0 if self.granted else 1))

    @property
    def is_full(self) -> bool:
        """True if it holds as many items, or bytes, as it may."""
        if 0 < self.maxsize <= self.size:
            return True
        weight = self.weight
        if weight is None or weight.size < weight.max_bytes:
            return False
        return not weight.gives_way(self.size, self.queued)

    @property
    def leasable(self) -> int:
        """Return how many of the queued items may be leased now."""
        if self.reorder is None:
            return self.queued
        return self.reorder.leasable(self.segments, self.queued)

    @property
    def repeats(self) -> bool:
        """True if something is here, or on its way to a reader, that this had before."""
        return bool(self.own.reserved or self.own.redelivered)

    @property
    def is_kept(self) -> bool:
        """True if nobody reads it any more before the run is resumed: no room will be made."""
        return bool(self.awaited) and self.open_readers <= self.awaited

    @property
    def drained(self) -> bool:
        """True if nothing is queued, delayed or leased."""
        here = self.queued or self.delayed or self.outstanding
        return not (here or self.own.reserved or self.own.partially_emitted)

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
        gone = self.closed or self.policy.unread
        for observer in self.observers:
            note = observer.spilt if gone and not self.failed_downstream else observer.put
            note(self.name, chunk, start, stop)
        if gone:
            self._discard([range(first, first + n)])
            return
        segment = Segment(chunk, start, stop, first)
        self.segments.append(segment)
        self.queued += n
        weight = self.weight
        if weight is not None:
            weight.size += segment.size_bytes
        if self.policy.drops:
            self._drop_full()
        size = self.queued + self.hidden + self.delayed - self.own.redelivered
        if size > self.peak:  # noqa: PLR1730 - asked for each put: no call
            self.peak = size
        if weight is not None:
            if weight.soft:
                weight.note_mean(self.queued + self.hidden + self.delayed)
            if weight.size > weight.peak:
                weight.note_peak()

    def weigh(self, segments: Iterable[Segment], sign: int = 1) -> None:
        """Count the bytes of items that come or, with -1, go; on an open queue."""
        if self.weight is not None and not self.closed:
            self.weight.size += sign * sum([segment.size_bytes for segment in segments])

    def _drop_full(self) -> None:
        """Let the policy remove what is too many; nothing of it can be expected any more."""
        many = self.size - self.maxsize if self.maxsize else 0
        heavy = self.weight.size - self.weight.max_bytes if self.weight is not None else -1
        if many <= 0 and heavy < 0:
            return
        lost = self.policy.make_room(self, many, heavy)
        if self.suspects:
            self.suspects.difference_update(*(part.numbers for part in lost))
        if self.reorder is not None:
            for part in lost:
                for number in part.numbers:
                    self.reorder.end(number)
        self._note_dropped(lost, Fate.DROPPED_FULL)
        gone = sum(map(len, lost))
        self.dropped += gone
        self.policy.dropped += gone

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
        if self.weight is not None:
            self.weigh(taken, -1)
        return taken

    def take_last(self, n: int) -> list[Segment]:
        """Remove up to n items from the tail."""
        stay, taken = cut(self.segments, self.queued - n)
        self.segments, self.queued = deque(stay), self.queued - n
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
        if self.observers and not self.failed_downstream:
            for segment in segments:
                for observer in self.observers:
                    observer.ended(self.name, segment, fate)

    # -- what a worker gets again -----------------------------------------------------------------

    def release_reserved(self, worker: str) -> None:
        """The worker will not come for the rest of it: anybody may have it."""
        segments = list(self.own.reserved.pop(worker, ()))
        if segments:
            for observer in self.observers:
                observer.returned(worker, self.name, segments)
            self.give_back(segments)

    def leave_own(self, job: str, workers: Iterable[str]) -> None:
        """A job has failed: its own items are left, for the job itself if the run is resumed."""
        lines = [self.own.reserved.pop(worker) for worker in workers]
        lines.append(deque(self.own.partially_emitted.pop(job, ())))
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
            waiting = self.queued + self.delayed + self.outstanding
            waiting += sum(map(len, self.own.segments()))
        return Ledger(
            maxsize=self.maxsize,
            put=self.put,
            done=self.done,
            skipped=self.skipped,
            dropped=self.dropped,
            dead=self.dead,
            left=self.left + waiting,
            peak=self.peak,
            peak_bytes=self.weight.peak if self.weight is not None else None,
        )
