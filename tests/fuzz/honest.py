"""Workers that keep to the protocol, and note what they were given and what was taken from them."""

from __future__ import annotations

import struct
import zlib
from collections import Counter, deque
from collections.abc import Callable

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Closing,
    Commit,
    CommitStatus,
    Committed,
    Ended,
    FromWorker,
    Grant,
    Leased,
    NoLease,
    Output,
    Pull,
    Ready,
    Recall,
    Released,
    Shut,
    Stop,
    ToWorker,
    Want,
)
from orchestrator.plan.model import JobPlan, Shape

_MARK = b"honest!:"
_ID = struct.Struct("<Q")
_AT_ONCE = 4

Say = Callable[[FromWorker, tuple[Blob, ...]], None]


def packed(queue: str, ids: list[int]) -> bytes:
    """A chunk that no random bytes can be taken for."""
    return b"".join((_MARK, queue.encode().ljust(8), *map(_ID.pack, ids)))


def unpacked(queue: str, blob: Blob, start: int, stop: int) -> list[int]:
    """The ids of the items that honest workers have put on this queue; nothing of others."""
    head = _MARK + queue.encode().ljust(8)
    if bytes(blob[: len(head)]) != head:
        return []
    ids = [number for (number,) in _ID.iter_unpack(blob[len(head) :])]
    return ids[start:stop]


class Ledger:
    """By job: the ids that its honest workers have finished, and those that they have put."""

    def __init__(self) -> None:
        self.done: dict[str, Counter[int]] = {}
        self.put: dict[str, Counter[int]] = {}
        self.to_others: dict[str, set[int]] = {}
        self.refused = 0


class Honest:
    """A source of `left` items, or one that works through all it gets."""

    def __init__(self, name: str, job: JobPlan, left: int, ledger: Ledger, say: Say) -> None:
        self.name = name
        self.over = False
        self._job = job
        self._left = left
        self._next = 0
        self._say = say
        self._ledger = ledger
        self._seq = self._numbers = 0
        self._inbox: deque[tuple[ToWorker, tuple[Blob, ...]]] = deque()
        self._unsettled: tuple[list[int], list[int]] = ([], [])
        self._done = ledger.done.setdefault(job.name, Counter())
        self._put = ledger.put.setdefault(job.name, Counter())

    def begin(self) -> None:
        self._say(Ready(), ())
        self._ask()

    def hear(self, message: ToWorker, blobs: tuple[Blob, ...]) -> None:
        self._inbox.append((message, blobs))

    def step(self) -> bool:
        """Act on one message; whether there was one."""
        if self.over or not self._inbox:
            return False
        message, blobs = self._inbox.popleft()
        match message:
            case Leased():
                self._work(message, blobs)
            case Grant() if message.want == self._numbers and message.want:
                self._emit(message.n)
            case Committed():
                self._settle(message)
            case Recall():
                pass  # it has said already that it keeps all of each lease
            case Ended() | Shut() | Stop():
                self.close()
            case NoLease():
                self._ask()
        return True

    def close(self) -> None:
        """Say the last message."""
        if not self.over:
            self.over = True
            self._say(Closing(), ())

    def _ask(self) -> None:
        self._numbers += 1
        job = self._job
        if not job.reads:
            n = min(_AT_ONCE, self._left)
            if not n:
                self.close()
            else:
                self._say(Want(want=self._numbers, queue=job.writes[0], n=n), ())
            return
        size = job.batch.size if job.batch is not None and job.shape is Shape.BATCH else 0
        within_s = job.batch.within_s if job.batch is not None else 0.0
        pull = Pull(
            pull=self._numbers,
            queues=job.reads,
            most=size or _AT_ONCE,
            least=size or 1,
            within_s=within_s,
        )
        self._say(pull, ())

    def _emit(self, n: int) -> None:
        ids = list(range(self._next, self._next + min(n, self._left)))
        self._next += len(ids)
        self._left -= len(ids)
        self._commit((), [], ids, counts=(len(ids),))

    def _work(self, message: Leased, blobs: tuple[Blob, ...]) -> None:
        ids: list[int] = []
        total = 0
        for part, blob in zip(message.ranges, blobs, strict=True):
            ids += unpacked(message.queue, blob, part.start, part.stop)
            total += part.stop - part.start
        self._say(Released(lease=message.lease, kept=total), ())
        puts = ids if self._job.writes else []
        counts = (*[0] * (total - 1), len(puts)) if puts else ()
        self._commit(((message.lease, total),), ids, puts, counts=counts)

    def _commit(
        self,
        finished: tuple[tuple[int, int], ...],
        done: list[int],
        puts: list[int],
        *,
        counts: tuple[int, ...],
    ) -> None:
        self._seq += 1
        outputs: tuple[Output, ...] = ()
        blobs: tuple[Blob, ...] = ()
        if puts:
            queue = self._job.writes[0]
            blobs = (packed(queue, puts),)
            outputs = (
                Output(
                    queues=(queue,),
                    n=len(puts),
                    size=len(blobs[0]),
                    packed=False,
                    counts=counts,
                    crc=zlib.crc32(blobs[0]),
                ),
            )
        self._unsettled = (done, puts)
        self._say(Commit(seq=self._seq, finished=finished, outputs=outputs), blobs)

    def _settle(self, message: Committed) -> None:
        if message.status is CommitStatus.REFUSED:
            self._ledger.refused += 1
            self.close()
            return
        done, puts = self._unsettled
        self._done.update(done)
        self._put.update(puts)
        self._ask()
