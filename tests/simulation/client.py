"""The model of a worker's side of the protocol: outboxes, leases, requests, and nothing real.

It speaks as `orchestrator.worker` speaks, but shares no line with it: the broker is tested
against the rules, not against its own partner.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import (
    Commit,
    CommitStatus,
    Committed,
    End,
    Ended,
    Failure,
    FromWorker,
    Grant,
    Leased,
    Mark,
    NoLease,
    Output,
    Pull,
    Recall,
    Released,
    Shut,
    Stop,
    ToWorker,
    Unpull,
    Unwant,
    Wait,
    Want,
)

from .boxes import Box, digest_of
from .ledger import check

BAD = Failure(kind="ValueError", message="bad")

Moves = Generator[Callable[[], bool], None, Any]
"""A worker's life: it yields what it waits for."""


class Frame(NamedTuple):
    """One message on its way."""

    message: Any
    blobs: tuple[bytes, ...] = ()


class Held:
    """A lease as the worker sees it; `items` are (number, identity)."""

    def __init__(self, message: Leased, items: list[tuple[int, int]]) -> None:
        self.number = message.lease
        self.queue = message.queue
        self.items = items
        self.started = self.finished = 0
        self.limit = len(items)


class Client:
    """One worker: two pipes, and what it knows. `by_item`: outputs leave with their item only.

    One that `heeds` it is `cut` when it is to put what nobody takes, as the readers have failed.
    """

    def __init__(
        self,
        name: str,
        rng: random.Random,
        boxes: Iterable[Box],
        *,
        by_item: bool,
        read: Callable[[Leased, tuple[bytes, ...]], list[tuple[int, int]]],
        write: Callable[[list[int]], bytes],
    ) -> None:
        self.name = name
        self.rng = rng
        self.boxes = list(boxes)
        self.by_item = by_item
        self.bold = self.held = False
        self.tells_gets = self.rolled_back = False
        self.got: list[tuple[str, int]] = []
        self.out: deque[Frame] = deque()
        self.inbox: deque[Frame] = deque()
        self.leases: dict[int, Held] = {}
        self.blame = Blame()
        self.refused = self.stop_asked = self.recycled = False
        self.heeds = self.cut = False
        self._failed: set[str] = set()
        self.patience_over = False
        self.waits_timed = False
        self.overdrawn = 0
        self.seq = self.answered = 0
        self.last_commit: Frame | None = None
        self._read, self._write = read, write
        self._replies: dict[int, ToWorker] = {}
        self._recalls: list[int] = []
        self._finished: list[tuple[int, int]] = []
        self._marks: list[Mark] = []
        self._numbers = 0

    # -- pipes ------------------------------------------------------------------------------------

    def send(self, message: FromWorker, blobs: tuple[bytes, ...] = ()) -> None:
        self.out.append(Frame(message, blobs))

    def take_in(self) -> None:
        """Read one message from the broker."""
        message, blobs = self.inbox.popleft()
        match message:
            case Leased():
                crcs = [part.crc for part in message.ranges]
                check(crcs == list(map(zlib.crc32, blobs)), "a chunk's checksum goes with it")
                held = Held(message, self._read(message, blobs))
                self.leases[held.number] = held
                self._replies[message.pull] = message
            case NoLease() | Ended():
                self._replies[message.pull] = message
            case Grant():
                self._box(message.queue).credits[message.queue] += message.n
                if message.want:
                    self._replies[message.want] = message
            case Committed():
                self._on_committed(message)
            case Shut():
                self._box(message.queue).closed.add(message.queue)
                if not message.returned:
                    self._failed.add(message.queue)
            case Recall():
                self._recalls.append(message.lease)
            case Stop():
                self.stop_asked = True

    def _on_committed(self, message: Committed) -> None:
        if message.seq <= self.answered:
            return
        self.answered = message.seq
        if message.status is not CommitStatus.APPLIED:
            self.refused = True
        elif message.seq == self.overdrawn:
            for queue, n in message.credits:
                self._box(queue).credits[queue] = n

    def _box(self, queue: str) -> Box:
        return next(box for box in self.boxes if queue in box.queues)

    def finds_none(self, box: Box) -> bool:
        """Whether it is cut off at what it is to put into the box."""
        if self.heeds and box.shut and not self._failed.isdisjoint(box.queues):
            self.cut = True
        return self.cut

    # -- what the pacer does beside the target ----------------------------------------------------

    def pace(self, *, idle: bool) -> bool:
        """Answer recalls and send what is finished; whether anything was sent.

        `idle`: it was for so long that credits go back as well.
        """
        sent = bool(self._recalls)
        while self._recalls:
            lease = self.leases.get(self._recalls.pop())
            if lease is not None:
                lease.limit = lease.started
                if lease.finished == lease.limit and not (self.held and lease.started):
                    del self.leases[lease.number]
                self.send(Released(lease=lease.number, kept=lease.limit))
        if self.unanswered or self.refused or self.held:
            return sent
        returned = self._idle_credits() if idle else ()
        return self._compose(with_open=not self.by_item, returned=returned) or sent

    @property
    def unanswered(self) -> bool:
        """Whether a commit that needs its answer has not got it yet."""
        return self.answered < self.overdrawn

    @property
    def has_unsent(self) -> bool:
        """Whether something is put or finished and not on its way."""
        return bool(self._finished) or any(box.items for box in self.boxes)

    @property
    def has_to_pace(self) -> bool:
        """Whether the pacer has something to do; it always does it in the end."""
        if self._recalls:
            return True
        if self.unanswered or self.refused or self.held:
            return False
        unsent = any(box.sealed or (box.items and not self.by_item) for box in self.boxes)
        idle = any(n > 0 for box in self.boxes if not box.items for n in box.credits.values())
        return bool(self._finished) or unsent or idle

    def _idle_credits(self) -> tuple[tuple[str, int], ...]:
        returned: list[tuple[str, int]] = []
        for box in self.boxes:
            if not box.items:
                returned += [(queue, n) for queue, n in box.credits.items() if n > 0]
        for queue, _ in returned:
            self._box(queue).credits[queue] = 0
        return tuple(returned)

    # -- finished items and commits ---------------------------------------------------------------

    def finish(self, held: Held, end: End = End.DONE) -> None:
        """The lease's next item has ended; what was put since the last one is its output."""
        if end is not End.DONE:
            at = sum(n for _, n in self._finished)
            self._marks.append(Mark(at=at, end=end, failure=BAD))
        for box in self.boxes:
            box.seals.append(len(box.items))
        held.finished += 1
        if self._finished and self._finished[-1][0] == held.number:
            self._finished[-1] = (held.number, self._finished[-1][1] + 1)
        else:
            self._finished.append((held.number, 1))
        if held.finished == held.limit and not self.held:
            self.leases.pop(held.number, None)

    def drop_open(self) -> None:
        for box in self.boxes:
            del box.items[box.sealed :]

    def _compose(
        self,
        *,
        with_open: bool,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
    ) -> bool:
        if self.held:
            return False
        outputs: list[Output] = []
        blobs: list[bytes] = []
        items = sum(n for _, n in self._finished)
        awaits = overdrawn = False
        for box in self.boxes:
            overdrawn = overdrawn or box.overdraws(with_open)
            chunks = box.cut(with_open, self.rng)
            awaits = awaits or (bool(chunks) and bool(box.weighed) and not box.free)
            for identities, counts in chunks:
                plain = counts == (1,) * items and items
                blob = self._write(identities)
                before, box.digest = box.digest, digest_of(identities, box.digest)
                outputs.append(
                    Output(
                        queues=box.queues,
                        n=len(identities),
                        size=len(blob),
                        packed=bool(len(identities) % 2),
                        counts=None if plain else counts,
                        digests=(before, box.digest),
                        crc=zlib.crc32(blob),
                    )
                )
                blobs.append(blob)
        if not (outputs or items or returned):
            return False
        self.seq += 1
        may_wait = not (self.by_item or self.bold)
        assert not (overdrawn and may_wait), "who may wait puts only what it has credit for"
        if overdrawn or awaits:
            self.overdrawn = self.seq
        message = Commit(
            seq=self.seq,
            finished=tuple(self._finished),
            marks=tuple(self._marks),
            outputs=tuple(outputs),
            returned=returned,
            awaited=awaited or self.overdrawn > 0 or self.rng.random() < 0.2,
            got=tuple(self.got),
        )
        self._finished, self._marks, self.got = [], [], []
        self.last_commit = Frame(message, tuple(blobs))
        self.out.append(self.last_commit)
        return True

    def commit(self, *, with_open: bool | None = None) -> Moves:
        """Send what is finished and put; wait only if that was more than the credits covered."""
        yield from self._settle()
        self._compose(with_open=not self.by_item if with_open is None else with_open)
        yield from self._settle()

    def close(self) -> Moves:
        """Commit everything, and see it applied."""
        yield from self._settle()
        if self._compose(with_open=True, awaited=True):
            last = self.seq
            yield lambda: self.answered >= last or self.refused

    def _settle(self) -> Moves:
        if self.overdrawn:
            yield lambda: self.answered >= self.overdrawn
            self.overdrawn = 0

    # -- requests ---------------------------------------------------------------------------------

    def pull(self, queues: tuple[str, ...], *, wait: Wait = Wait.FOREVER, **keys: Any) -> Moves:
        """A lease, Ended, or None."""
        yield from self.commit()
        number = self._number()
        polls = wait is not Wait.FOREVER
        self.send(Pull(pull=number, queues=queues, wait=wait, polls=polls, **keys))
        reply = yield from self._reply(number, wait, Unpull(pull=number))
        return (
            self.leases.get(reply.lease)
            if isinstance(reply, Leased)
            else (reply if isinstance(reply, Ended) else None)
        )

    def want(self, box: Box, queue: str, n: int, wait: Wait) -> Moves:
        """Whether credit was granted, or has come meanwhile; what came may be back already."""
        for unsent in (len(box.items), None):
            number, least = self._number(), 1 + self.rng.randrange(n)
            self.send(Want(want=number, queue=queue, unsent=unsent, n=n, least=least, wait=wait))
            reply = yield from self._reply(number, wait, Unwant(want=number))
            if reply.n > 0 or box.credits[queue] > len(box.items):
                return True
            if wait is not Wait.FOREVER or queue in box.closed or box.limited:
                return False
        raise AssertionError("who was in line for ever got nothing")

    def _reply(self, number: int, wait: Wait, withdrawal: FromWorker) -> Moves:
        self.patience_over, self.waits_timed = False, wait is Wait.TIMED
        yield lambda: number in self._replies or self.patience_over
        self.waits_timed = False
        if number not in self._replies:
            self.send(withdrawal)
            yield lambda: number in self._replies
        return self._replies.pop(number)

    def wait_for_credit(self, box: Box, wait: Wait = Wait.FOREVER, n: int = 1) -> Moves:
        """Credit for one more item on every queue of the box; False when refused or late."""
        while box.allowance < 1 and not box.shut:
            yield from self.commit()
            for queue in box.queues:
                if box.credits[queue] < 1 and queue not in box.closed:
                    granted = yield from self.want(box, queue, n, wait)
                    if not granted and queue not in box.closed:
                        return False
        return True

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # -- the progress cell ------------------------------------------------------------------------

    def begin(self, held: Held) -> int:
        """The next item of the lease is in hand: its number."""
        self.blame = Blame(lease=held.number, index=held.started, phase=Phase.RUNNING)
        held.started += 1
        self._note_got(held.queue, 1)
        return held.items[held.started - 1][0]

    def _note_got(self, queue: str, n: int) -> None:
        if self.tells_gets:
            self.got.append((queue, n))

    def end(self, queue: str) -> None:
        """The end of a queue is told."""
        self._note_got(queue, 0)

    # -- a transaction ----------------------------------------------------------------------------

    def begin_block(self) -> Callable[[], None]:
        """Nothing is sent until it ends; returns what rolls it back."""
        leases = {number: (held.started, held.finished) for number, held in self.leases.items()}
        replays = [(box, box.digest, box.replay and box.replay.at) for box in self.boxes]
        got, self.held = list(self.got), True

        def roll_back() -> None:
            self.held, self.rolled_back = False, True
            self.got = got + [told for told in self.got[len(got) :] if not told[1]]
            self._finished = []
            for box, digest, at in replays:
                box.items.clear()
                box.seals.clear()
                box.digest = digest
                if box.replay is not None:
                    box.replay.at = at
            for number, held in reversed(list(self.leases.items())):
                started, held.finished = leases.get(number, (0, 0))
                if held.started > started:
                    held.started = held.limit = started
                    self.send(Released(lease=number, kept=held.limit))
                if held.limit == held.finished:
                    del self.leases[number]

        return roll_back

    def end_block(self) -> None:
        """It has ended well."""
        self.held = False
        for number in [n for n, held in self.leases.items() if held.finished == held.limit]:
            del self.leases[number]

    def idle(self) -> None:
        self.blame = Blame(lease=self.blame.lease, index=self.blame.index, phase=Phase.IDLE)
