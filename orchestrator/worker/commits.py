"""Commits of a worker: finished items and outputs on their way to the broker.

Called in the child, every method with the lock held. What is put and finished gathers here and is
committed in chunks: when a chunk is full, before anything waits, and by the flusher (`flusher.py`)
when the target keeps the main thread for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Commit,
    CommitStatus,
    Committed,
    End,
    Failure,
    Output,
)
from orchestrator.ipc.arena import Stub
from orchestrator.worker.acks import Acks
from orchestrator.worker.chunks import BIG_ITEM, MOST_BYTES
from orchestrator.worker.connection import Connection
from orchestrator.worker.errors import FencedError, InconsistentError, NoRoomError
from orchestrator.worker.lease import Lease, Leases
from orchestrator.worker.outbox import Outbox, Outboxes
from orchestrator.worker.replay import Gets

__all__ = ["Commits", "OnCommit", "Taken"]

OnCommit = Callable[[Sequence[Output]], None]
Taken = tuple[Commit, tuple[Blob, ...]]
"""A commit and its chunks."""

_IDLE_S: Final = 0.002
"""Whoever has sent nothing for so long is not in a burst."""
_SPARSE: Final = 4
"""What was put since the flusher's last glance, at most, is no burst."""
_MUCH_TOLD: Final = 1 << 20
"""Characters of failures that make a commit of their own: a message has a longest length."""


class Commits:
    """Sends what is finished and put, whoever asks for it: `send` never waits, `commit` may.

    `by_item`: outputs belong to the item being worked on and are sent only once it is finished
    (rule 2); else what is put may be sent at any time. `ordered`: what is finished waits for its
    turn at the broker, so no credit is needed, and an item gives all it gives in one commit. `arm`
    tells the flusher that something is held, `hurry` that others may wait for it. `on_commit` is
    told of the outputs before anybody else can be.
    """

    def __init__(
        self,
        connection: Connection,
        outboxes: Outboxes,
        acks: Acks,
        leases: Leases,
        *,
        by_item: bool,
        ordered: bool,
        arm: Callable[[], None],
        hurry: Callable[[], None],
        gets: Gets | None,
        on_commit: OnCommit | None,
    ) -> None:
        self.held = False
        """Nothing is committed and no credit returned: a transaction is open."""
        self.waiting: Callable[[], AbstractContextManager[None]] = nullcontext
        """Surrounds a wait for room in the midst of an item."""
        self.seq = 0
        """The number of commits made."""
        self.fenced = False
        """The broker takes nothing from this worker any more."""
        self._connection = connection
        self._outboxes = outboxes
        self._acks = acks
        self._leases = leases
        self._by_item = by_item
        self._ordered = ordered
        self._arm = arm
        self._hurry = hurry
        self._gets = gets
        self._on_commit = on_commit
        self._answered_seq = self._overdrawn = 0
        self._sent_at = 0.0
        self._for_room = 0
        self._full = ""

    # -- outputs and failures ---------------------------------------------------------------------

    def put(self, outbox: Outbox, item: Any) -> None:
        """Put what there is credit for, or what the item at hand emits: in parts, if it is much."""
        acks = self._acks
        if not acks.unsent_since:
            acks.note_unsent()
        if self._by_item:
            acks.book()  # items that ended before this one began come first
            if (
                outbox.count - outbox.sealed >= outbox.part_items
                or self._outboxes.is_bulky
                or outbox.is_part
            ):
                self._send_part()
        outbox.add(item)
        if outbox.count >= outbox.due:
            self._connection.attention = True
            if not self._by_item:
                self.commit()
        elif outbox.count == 1 and not self._by_item:
            self.note_put()

    def _send_part(self) -> None:
        """Send a part of what is too much for one commit; ValueError if it has to be one."""
        if not self._ordered:
            with self.waiting():
                self.commit(with_open=True)
            self._acks.partially_emitted = True
            return
        self.commit()
        if self._outboxes.is_bulky:
            raise ValueError(
                f"all that one item gives may have {MOST_BYTES:,} bytes, as its job is ordered"
            )

    def fail(self, lease: Lease, end: End, failure: Failure) -> None:
        """The next item of the lease has failed; what it has put is forgotten."""
        self._acks.fail(lease, end, failure)
        if self._acks.counter.told > _MUCH_TOLD:
            self.commit()

    # -- the ways to send -------------------------------------------------------------------------

    def commit(self, *, with_open: bool | None = None, at_once: bool = True) -> None:
        """Send what is finished and put, and wait only if that was more than there was credit for.

        `with_open` sends the open item's outputs too; unless said, where items do not own them. One
        that need not leave `at_once`, nor wait, leaves with the next frame. Raises FencedError when
        the broker refuses, LinkClosedError when it is gone.
        """
        self.settle()
        if self.send(with_open=with_open, flush=at_once):
            self.settle()
            if at_once:
                self._arm()  # last, for it wakes a thread: unused credits are to be returned

    def send(
        self,
        *,
        with_open: bool | None = None,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
        flush: bool = True,
    ) -> bool:
        """Send what there is to commit, and wait for nothing; whether there was anything.

        Credits are `returned` with it. An answer comes even if no more was sent than there was
        credit for, if it is `awaited`. Not to be called while `is_overdrawn`.
        """
        taken = self._take(with_open=with_open, returned=returned, awaited=awaited)
        if taken is None:
            return False
        self._connection.link.queue(*taken)
        if flush:
            self._connection.link.flush()
        return True

    def carry(self) -> Taken | None:
        """Return what there is to commit for a request that takes it along in its own frame."""
        self.settle()
        taken = self._take()
        if not (self._by_item or self.held):
            for outbox in self._outboxes.all:
                outbox.stay_prompt()
        if taken is not None and self._overdrawn:  # it has to wait, so it goes before the request
            self._connection.link.queue(*taken)
            self.settle()
            return None
        return taken

    def send_last(self) -> None:
        """Commit everything, and see it applied."""
        if self.send(awaited=True):
            last = self.seq  # the flusher may send more, and nobody waits for the answer to that
            self._connection.wait_until(lambda: self._answered_seq >= last)
            self._overdrawn = 0

    def commit_due(self) -> None:
        """Commit if a chunk is full; if not, and something is put, the flusher does it soon."""
        if self._outboxes.is_due:
            self.commit()
        elif any(outbox.count for outbox in self._outboxes.all):
            self._hurry()

    def note_put(self) -> None:
        """The first of a chunk is put, not by an item: send it if this ends an idle spell.

        Others may wait for it, so if it is not sent the flusher hurries.
        """
        now = time.monotonic()
        if now - self._sent_at >= _IDLE_S:  # the flusher has not had the time to see that
            self.commit()
            self.be_prompt()
            return
        self._acks.unsent_since = self._acks.unsent_since or now
        self._hurry()

    # -- pacing: called by the flusher ------------------------------------------------------------

    def tick(self, now: float, patience_s: float) -> bool:
        """Send what has waited for `patience_s`; whether there is more to watch over."""
        acks = self._acks
        acks.book()
        # The flusher only sends: were it to wait for an answer, nobody would keep the promises that
        # it is there for. The main thread settles before it commits again.
        if self.is_overdrawn or self.fenced:
            return True
        if not acks.unsent_since:
            return False
        if now - acks.unsent_since >= patience_s:
            self.send()
        return True

    def return_credits(self) -> None:
        """Give back credits that nobody has used since this was last called."""
        if self.is_overdrawn or self.fenced or self.held:
            return
        returned: list[tuple[str, int]] = []
        for outbox in self._outboxes.all:
            if not (outbox.in_use or outbox.count):
                returned += outbox.idle_credits()
                self._connection.attention = True  # a window was begun on them
            outbox.in_use = outbox.count > 0
        if returned:
            self.send(returned=tuple(returned))

    def be_prompt(self) -> None:
        """Nothing has moved for a while: what is put next is sent at once."""
        if self._for_room:
            return
        self._outboxes.be_prompt()
        if self._acks.has_window:
            self._connection.attention = True

    @property
    def is_sparse(self) -> bool:
        """True if so little is held that each of it might have been sent as it was put.

        Items are not held up for that: what they give is gathered while they end.
        """
        return not self._by_item and self._outboxes.count <= _SPARSE

    @contextmanager
    def waiting_for_room(self) -> Iterator[None]:
        """Gather what is put meanwhile: who waits for room is not idle, and nobody waits for it.

        Who asks after an idle spell, or for the first time, may only have waited for the answer.
        """
        began = time.monotonic()
        flows = began - self._sent_at < _IDLE_S
        self._for_room += 1
        try:
            yield
        finally:
            self._for_room -= 1
            now = time.monotonic()
            if flows and now - began >= _IDLE_S:
                self._sent_at = now
                self._outboxes.be_patient()

    # -- answers ----------------------------------------------------------------------------------

    @property
    def is_overdrawn(self) -> bool:
        """True if a commit that needs its answer has not got it yet."""
        return self._answered_seq < self._overdrawn

    def settle(self) -> None:
        """Wait for the answer to a commit that was more than there was credit for."""
        # Nothing more is sent before: the answer sets the credits anew, so what was sent meanwhile
        # would have spent credit that the worker then believes to have still.
        if self._overdrawn:
            self._connection.link.flush()
            with self.waiting_for_room():
                self._connection.wait_until(lambda: not self.is_overdrawn)
            self._overdrawn = 0

    def answered(self, message: Committed) -> bool:
        """The broker has answered a commit; whether its answer says what the credits are now.

        Raises FencedError if it has refused.
        """
        self._answered_seq = message.seq
        if message.status is not CommitStatus.APPLIED:
            self.fenced = self._connection.attention = True
            self._full = message.full
            raise self._refusal()
        return message.seq == self._overdrawn

    def _refusal(self) -> FencedError:
        """Return why nothing is taken from this worker any more."""
        if self._full:
            return NoRoomError(self._full)
        return FencedError("its items were given to others")

    # -- making a commit --------------------------------------------------------------------------

    def _take(
        self,
        *,
        with_open: bool | None = None,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
    ) -> Taken | None:
        """Make a commit, with its chunks, of what is finished and put; None for nothing."""
        if self.fenced:
            raise self._refusal()
        if self.held:
            return None
        if with_open is None:
            with_open = not self._by_item
        # From here to the end nothing may come in between: what has left the outboxes and the acks
        # is in this message only, and a part of it told twice, or never, would be a wrong ledger.
        acks = self._acks
        acks.begin_change()
        acks.unsent_since = 0.0
        outputs: list[Output] = []
        blobs: list[Blob] = []
        done = acks.counter.done
        overdrawn = False
        for outbox in self._outboxes.all:
            if outbox.inconsistent:
                raise InconsistentError
            sent = len(outputs)
            if outbox.count or outbox.sealed or outbox.seals is not None:
                outbox.take(done, outputs, blobs, with_open=with_open)
            returned += _surplus(outbox, outputs[sent:], blobs[sent:])
            weighed = outbox.weighs and not outbox.free and len(outputs) > sent
            overdrawn = overdrawn or outbox.limit < 0 or weighed
        if not (outputs or done or returned):
            acks.inconsistent = False
            return None
        self.seq += 1
        self._sent_at = time.monotonic()
        self._overdrawn = self.seq if overdrawn else self._overdrawn
        finished, marks = acks.counter.take()
        message = Commit(
            seq=self.seq,
            finished=finished,
            marks=marks,
            outputs=tuple(outputs),
            returned=returned,
            awaited=awaited or self._overdrawn > 0,
            got=self._gets.take() if self._gets is not None else (),
        )
        self._leases.drop_finished(number for number, _ in finished)
        acks.inconsistent = False
        if self._on_commit is not None:
            self._on_commit(outputs)
        return message, tuple(blobs)


def _surplus(
    outbox: Outbox, sent: Sequence[Output], blobs: Sequence[Blob]
) -> tuple[tuple[str, int], ...]:
    """Give up credits at soft bounds, once these are sent; return them.

    What comes next may weigh as much: credit is kept for a share of the bytes only.
    """
    returned: list[tuple[str, int]] = []
    if not outbox.soft_shares:
        return ()
    for output, blob in zip(sent, blobs, strict=True):
        stub = Stub.decode(blob) if output.placed else None
        size = stub.size if stub is not None else output.size
        if size < BIG_ITEM:  # its items are light, or few
            continue
        for queue, share in outbox.soft_shares:
            held, kept = outbox.credits.of[queue], 1 + share * output.n // size
            if held > kept and queue not in outbox.credits.closed:
                returned.append((queue, held - kept))
                outbox.set_credits(queue, kept)
    return tuple(returned)
