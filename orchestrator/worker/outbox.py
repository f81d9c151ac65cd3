"""The outboxes of a worker: outputs that are put and not yet sent, and the credits for them.

Called in the child, under the client's lock. An outbox puts on one queue, or on several that get
the same items. `add` and `seal` run for each item: they are plain on purpose.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Output
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.arenas import LaidChunk
from orchestrator.worker.blocks import CONTAINERS, COPIES, copy_into
from orchestrator.worker.chunks import (
    BIG_ITEM,
    CHUNK_BYTES,
    MOST_BYTES,
    PLAIN,
    SIZED,
    ItemPickler,
    ItemRun,
    Part,
    cut_runs,
    sole,
)
from orchestrator.worker.credits import QueueCredits
from orchestrator.worker.large import SplitPickle
from orchestrator.worker.replay import ReplayCheck, ReplayChecks, digest_of

__all__ = ["Outbox", "Outboxes"]

_NO_LIMIT: Final = 1 << 40
_PROMPT: Final = 8
_GATHERED = 1 << 16
_GATHERED_BYTES = 64 << 20
"""What one item gives to a queue that drops leaves as a whole, which needs no room, unless it is
more: it is held in memory until then."""


class Outbox:
    """Outputs on their way to `queues`.

    After an idle spell what is put first is due at once, item by item, for others may wait for it
    or be told of it: `prompt` times more. What follows closely is gathered in chunks.

    Where a queue has a `max_bytes` the outbox `weighs`: every item is pickled by itself, for its
    bytes to be known, a chunk closes at `chunk_bytes`, credits are good for one commit (rule 4).
    """

    def __init__(
        self,
        queues: tuple[str, ...],
        *,
        chunk_items: int,
        part_items: int,
        part_bytes: int = _NO_LIMIT,
        done: int = 0,
        free: bool = False,
        overdraws: bool = False,
    ) -> None:
        self.queues = queues
        self.chunk_items = chunk_items
        self.part_items = part_items
        """The most that one item may put in one commit."""
        self.credits = QueueCredits(queues)
        self.count = 0
        """The number of outputs that are held."""
        self.sealed = 0
        """So many of them belong to finished items, the others to the item that is still open (or
        to a source)."""
        self.seals: list[int] | None = [0] * done if done else None
        """The counts after each finished item, `done` of which were finished before there was this
        outbox; None as long as each has put exactly one, or where no item owns what is put."""
        self.free = free
        """No credit is needed."""
        self.overdraws = overdraws
        """Nobody waits for credit: what exceeds it waits as a commit, of a chunk that is full."""
        self.limit = _NO_LIMIT if free else 0
        """Credits cover so many outputs."""
        self.due = 1
        """So many make a chunk, or use up the credits."""
        self.prompt = _PROMPT
        self.in_use = False
        """Set by what is sent; who returns idle credits clears it."""
        self.packs = False
        """The last items had to be pickled one by one."""
        self.weighs = False
        self.copies = False
        """Items may be copied instead of pickled one by one: nobody asks for the bytes of each."""
        self.inconsistent = False
        """A change was begun and not ended; see `Acks.inconsistent`."""
        self.bulk = 0
        """The size of the full chunks, in bytes."""
        self.chunk_bytes = CHUNK_BYTES
        self.dump: Callable[[Any], bytes | SplitPickle] = ItemPickler().dump
        self.sole: Callable[[Any], bytes | LaidChunk] = sole
        self.lay: Callable[[bytes], LaidChunk | None] = lambda _: None
        """Gives a chunk of many items a place beside the frames, if there is one."""
        self.patience_s: float | None = None
        """See QueueInfo."""
        self.digest: int | None = None
        """The digest of all that was sent, None where nobody asks for it."""
        self.replay: ReplayCheck | None = None
        """Compares what is put with what was put before, until that is over."""
        self.soft_shares: tuple[tuple[str, int], ...] = ()
        """Queues with a soft bound in bytes: see QueueInfo."""
        self._part_bytes = part_bytes
        self._weighed: dict[str, int] = {}
        self._runs: list[ItemRun] = []
        self._run = ItemRun()

    def weigh(self, limits: Sequence[tuple[str, int, int]]) -> None:
        """These queues bound bytes: each with what a producer may gather, and with its bound.

        An item that gives more than the least bound gives it in parts.
        """
        self.weighs = self.packs = True
        self.chunk_bytes = min([CHUNK_BYTES, *(share for _, share, _ in limits)])
        if not self.free:
            self._part_bytes = min(self._part_bytes, *(most for _, _, most in limits))
        self._weighed = {queue: 0 for queue, _, _ in limits}
        self._run = self._new_run()

    @property
    def shut(self) -> bool:
        """True if nobody reads any of the queues any more."""
        return self.credits.shut

    def repeats(self, item: Any) -> bool:
        """True if an item was put before, so that it is not to be put again; asked for each.

        Raises ReplayError if it is another than before, and what its pickling raises.
        """
        if self.replay is None or self.replay.is_over:
            return False
        self.replay.compare(item)
        return True

    def add(self, item: Any) -> None:
        """Hold one more output; raises what its pickling raises, and then holds it not."""
        run = self._run
        kind = type(item)
        if kind in PLAIN and not run.packed:
            size = len(item) if kind in SIZED else 0
            if size < BIG_ITEM:
                self.inconsistent = True
                run.items.append(item)
                self.count += 1
                if size:
                    self._grow(run, size)
                self.inconsistent = False
                return
            if self.digest is None:
                self._hold_big(item, self.sole(item), packed=False)
                return
        elif self.copies and kind in CONTAINERS and not run.packed:
            made: list[Any] = []
            if (size := copy_into(made, item)) >= 0:
                self.inconsistent = run.copied = True
                run.items += made
                self.count += 1
                self._grow(run, size)
                self.inconsistent = False
                return
        pickled = self.dump(item)
        if len(pickled) >= BIG_ITEM:
            self._hold_big(pickled, self.sole(pickled), packed=True)
            return
        run = self._run  # the item's own pickling may have put something
        self.inconsistent = True
        if not run.packed:
            run.pack()
        run.items.append(pickled)
        self.count += 1
        self._grow(run, len(pickled))
        self.inconsistent = False

    def _hold_big(self, item: Any, blob: bytes | LaidChunk, *, packed: bool) -> None:
        """Hold a big item, as it is or pickled: it is a chunk by itself, which is made already."""
        self.inconsistent = True
        self._close_filled()
        run = ItemRun(packed=packed)
        run.items.append(item)
        run.size, run.blob = len(item), blob
        self._runs.append(run)
        self.bulk += run.size
        self.count += 1
        self.due = 0
        self.inconsistent = False

    def _close_filled(self) -> None:
        if self._run.items:
            self._runs.append(self._run)
            self.bulk += self._run.size
            self._run = self._new_run()

    def _grow(self, run: ItemRun, size: int) -> None:
        """Count an item's bytes: a full chunk is due."""
        run.size += size
        if run.size >= self.chunk_bytes:
            self._close_filled()
            self.due = 0

    def _new_run(self) -> ItemRun:
        return ItemRun(packed=self.weighs)

    @property
    def size(self) -> int:
        """Bytes of the chunk that is being filled, as far as they are counted."""
        return self._run.size

    @property
    def is_part(self) -> bool:
        """True if the open item has given so many bytes that they have to leave without it."""
        held = self.bulk + self._run.size
        return held >= self._part_bytes and self.count > self.sealed

    def extend(self, part: Part) -> None:
        """Hold more outputs; only the last of them may be big."""
        items, blob = part.items, part.blob
        if blob is not None:
            size = part.size - len(items[-1])
            part = Part(items[:-1], part.packed, size, copied=part.copied)
        if part.items:
            self._run.extend(part)
            self.count += len(part.items)
            self._grow(self._run, 0)
        if blob is not None:
            self._hold_big(items[-1], blob, packed=part.packed)

    def seal(self, n: int = 1) -> None:
        """The open item is finished, and so are n - 1 more that have put nothing."""
        count = self.count
        if count == self.sealed:
            self.be_patient(1)  # work does flow, though nothing is put
        if self.seals is not None:
            self.seals += [count] * n
        elif n != 1 or count != self.sealed + 1:
            self.seals = [*range(1, self.sealed + 1), *([count] * n)]
        self.sealed = count

    def finish(self, part: Part, *, holes: bool) -> None:
        """Items are finished, each with one output, or, where it is None, with none."""
        count, n = self.count, len(part.items)
        if holes:
            seals = self.seals if self.seals is not None else list(range(1, self.sealed + 1))
            for item in part.items:
                count += item is not None
                seals.append(count)
            self.seals = seals
            given = [item for item in part.items if item is not None]
            part = Part(given, part.packed, part.size, part.blob, copied=part.copied)
        elif self.seals is not None:
            self.seals += range(count + 1, count + n + 1)
        if part.items:
            self.extend(part)
        else:
            self.be_patient(1)  # work does flow, though nothing is put
        self.sealed = self.count

    def drop_open(self) -> None:
        """Forget the outputs of the open item: it did not end well."""
        extra = self.count - self.sealed
        self.count = self.sealed
        if not self.count:
            self._runs.clear()
            self._run = self._new_run()
            self.bulk = 0
            self._reckon()
            return
        while extra > len(self._run.items):
            extra -= len(self._run.items)
            self._run = self._runs.pop()
            self.bulk -= self._run.size
        if extra:
            del self._run.items[-extra:]
            if self._run.blob is not None:
                self._run = self._new_run()
        if self.weighs:
            self._weigh_anew()

    def _weigh_anew(self) -> None:
        """Count the bytes of what is held."""
        for run in (*self._runs, self._run):
            run.size = sum(map(len, run.items))
        self.bulk = sum(run.size for run in self._runs)

    def be_prompt(self) -> None:
        """Nothing was put for a while, and nothing is held: what is put next is due at once."""
        if self.prompt < _PROMPT and not self.count:
            self.prompt = _PROMPT
            self._reckon()

    def stay_prompt(self) -> None:
        """Something is asked for: who has put little since the last time is in no burst."""
        if self.prompt:
            self.prompt = _PROMPT

    def be_patient(self, by: int = _PROMPT) -> None:
        """Let what is put next wait until there is a chunk of it; fewer by so many are prompt."""
        if self.prompt:
            self.prompt = max(0, self.prompt - by)
            self._reckon()

    # -- credits ----------------------------------------------------------------------------------

    def grant(self, queue: str, n: int) -> None:
        """N more credits."""
        self.set_credits(queue, self.credits.of[queue] + n)

    def set_credits(self, queue: str, n: int) -> None:
        """The worker's credits of a queue are n."""
        self.credits.of[queue] = n
        self._reckon()

    def shut_queue(self, queue: str, reader: str = "", *, returned: bool = True) -> None:
        """Nobody reads the queue any more; the others of this outbox go on."""
        self.credits.close(queue, reader, returned=returned)
        self._reckon()

    def lacking(self) -> list[str]:
        """The queues without credit for one more than is held."""
        return self.credits.lacking(self.count)

    def idle_credits(self) -> list[tuple[str, int]]:
        """Give up the credits that nothing held here will need."""
        returned = [(queue, n) for queue, n in self.credits.of.items() if n > 0]
        if returned:
            self.credits.of = dict.fromkeys(self.queues, 0)
            self._reckon()
        return returned

    def _reckon(self) -> None:
        if self.free:
            self.limit = 0 if self.credits.shut else _NO_LIMIT
            self.due = 1 if self.prompt else self.chunk_items
            return
        least = self.credits.least
        self.limit = limit = least or 0
        if self.prompt:
            self.due = 1
        elif least is None or (self.overdraws and 2 * limit < self.chunk_items):
            self.due = self.chunk_items
        else:
            self.due = max(1, min(self.chunk_items, limit))

    # -- chunks -----------------------------------------------------------------------------------

    def take(
        self, finished: int, outputs: list[Output], blobs: list[Blob], *, with_open: bool
    ) -> None:
        """Move what can be sent to the lists; `finished` items have been sealed since."""
        n = self.count if with_open else self.sealed
        if n and self.replay is not None:  # it is over, and no transaction can go back to it
            self.digest, self.replay = self.replay.digest, None
        if n:
            for start, run in self._cut(n):
                output, blob = _output(self, run, start, n, finished=finished)
                outputs.append(output)
                blobs.append(blob)
        self._forget(n)

    def _cut(self, n: int) -> list[tuple[int, ItemRun]]:
        """The runs of the first n items, each with its place; the others stay."""
        if n == self.count and not self._runs:
            run, self._run = self._run, self._new_run()
            return [(0, run)]
        pieces, self._runs = cut_runs([*self._runs, self._run], n)
        is_open = self._runs and self._runs[-1].blob is None  # a big item's chunk is made already
        self._run = self._runs.pop() if is_open else self._new_run()
        self.bulk = sum(run.size for run in self._runs)
        return pieces

    def _forget(self, n: int) -> None:
        self.count -= n
        self.sealed = 0
        self.seals = None
        if n:
            self.in_use = True
            self.prompt -= self.prompt > 0
            if not self.free:
                self.credits.spend(n)
                if self.weighs:
                    self.credits.of.update(self._weighed)
            if self.weighs:
                self._weigh_anew()
            self._reckon()


def _output(box: Outbox, run: ItemRun, start: int, n: int, *, finished: int) -> tuple[Output, Blob]:
    """The output of a run, at `start` of the n that are sent, and its chunk or the place of it."""
    blob = run.dump()
    if isinstance(blob, bytes) and len(blob) >= BIG_ITEM and box.digest is None:
        blob = box.lay(blob) or blob
    placed = isinstance(blob, LaidChunk)
    if isinstance(blob, LaidChunk):
        blob.sent = True
        blob = blob.stub.encode()
    before = box.digest or 0
    if box.digest is not None:
        box.digest = digest_of(run.items, packed=run.packed, before=before)
    stop = start + len(run.items)
    output = Output(
        queues=box.queues,
        n=stop - start,
        size=len(blob),
        packed=run.packed or run.copied,
        placed=placed,
        counts=_counts(box.seals, start, stop, n, finished=finished, sealed=box.sealed),
        digests=(before, box.digest or 0),
        crc=zlib.crc32(blob),
    )
    return output, blob


def _counts(
    seals: list[int] | None, start: int, stop: int, n: int, *, finished: int, sealed: int
) -> tuple[int, ...] | None:
    """Return how many of the outputs from start to stop, of n, each item has; None: each has one.

    `seals` are the counts after each finished item, None as long as each has put exactly one.
    """
    if seals is None:
        if start == 0 and stop == n == finished:
            return None
        seals = list(range(1, finished + 1)) if sealed else [0] * finished
    counts: list[int] = []
    before = 0
    for seal in (*seals, n) if n > sealed else seals:
        counts.append(max(0, min(seal, stop) - max(before, start)))
        before = seal
    return tuple(counts)


class Outboxes:
    """All outboxes of a worker; a queue has one."""

    def __init__(
        self,
        queues: Mapping[str, QueueInfo],
        *,
        replays: ReplayChecks,
        ordered: bool,
        dump: Callable[[Any], bytes | SplitPickle],
        sole: Callable[[Any], bytes | LaidChunk] = sole,
        lay: Callable[[bytes], LaidChunk | None] = lambda _: None,
    ) -> None:
        self.all: list[Outbox] = []
        self._queues = queues
        self._replays = replays
        self._ordered = ordered
        self._dump = dump
        self._sole = sole
        self._lay = lay
        self._by_queue: dict[str, Outbox] = {}

    def of(self, queue: str) -> Outbox | None:
        """Return the outbox of a queue; None if nothing was ever put there."""
        return self._by_queue.get(queue)

    def open(self, queues: tuple[str, ...], *, done: int, overdraws: bool) -> Outbox:
        """The outbox that puts on these queues, when so many items of the commit have ended."""
        outbox = self._by_queue.get(queues[0])
        if outbox is None:
            infos = {queue: self._queues[queue] for queue in queues}
            outbox = _outbox_for(infos, done=done, free=self._ordered, overdraws=overdraws)
            outbox.dump, outbox.sole, outbox.lay = self._dump, self._sole, self._lay
            if self._replays.counted:
                outbox.digest, outbox.replay = 0, self._replays.of(queues[0])
            elif not (self._ordered or outbox.weighs):
                outbox.copies = COPIES
            self.all.append(outbox)
            self._by_queue.update(dict.fromkeys(queues, outbox))
        return outbox

    def forget(self, queue: str) -> list[tuple[str, int]]:
        """The queue, which has an outbox of its own, is gone; returns the credits that are left."""
        outbox = self._by_queue.pop(queue, None)
        if outbox is None:
            return []
        self.all.remove(outbox)
        return outbox.idle_credits()

    @property
    def count(self) -> int:
        """The number of outputs that are held."""
        return sum(outbox.count for outbox in self.all)

    @property
    def is_due(self) -> bool:
        """True if a chunk is full, or the credits for one are used up."""
        for outbox in self.all:  # noqa: SIM110 - asked for each item: no generator
            if outbox.count >= outbox.due and outbox.count:
                return True
        return False

    @property
    def is_bulky(self) -> bool:
        """True if what is held, with one item more, might be too much for one commit."""
        bulk = 0
        for outbox in self.all:
            bulk += outbox.bulk
        return bulk >= MOST_BYTES

    @property
    def inconsistent(self) -> bool:
        """True if an exception has come into the midst of a change."""
        return any(outbox.inconsistent for outbox in self.all)

    def drop_open(self) -> None:
        """Forget what the item at hand has put: it did not end well, or will be tried again."""
        for outbox in self.all:
            outbox.drop_open()

    def be_prompt(self) -> None:
        """Nothing has moved for a while: what is put next is due at once."""
        for outbox in self.all:
            outbox.be_prompt()

    def be_patient(self) -> None:
        """Let what is put next wait until there is a chunk of it."""
        for outbox in self.all:
            outbox.be_patient()


def _outbox_for(
    infos: Mapping[str, QueueInfo], *, done: int, free: bool, overdraws: bool
) -> Outbox:
    drops = any(info.drops for info in infos.values())
    bounds = [
        max(info.maxsize, _GATHERED) if info.drops else info.maxsize
        for info in infos.values()
        if info.maxsize > 0 and not free
    ]
    outbox = Outbox(
        tuple(infos),
        chunk_items=min(info.chunk_items for info in infos.values()),
        part_items=min(bounds, default=_NO_LIMIT),
        part_bytes=_GATHERED_BYTES if drops and not free else _NO_LIMIT,
        done=done,
        free=free,
        overdraws=overdraws,
    )
    if not free:
        shares = ((q, each.soft_share) for q, each in infos.items() if each.soft_share)
        outbox.soft_shares = tuple(shares)
    limits = [
        (queue, info.share_bytes, max(info.max_bytes, _GATHERED_BYTES if info.drops else 0))
        for queue, info in infos.items()
        if info.max_bytes is not None
    ]
    if limits:
        outbox.weigh(limits)
    patience = [info.patience_s for info in infos.values() if info.patience_s is not None]
    outbox.patience_s = min(patience, default=None)
    return outbox
