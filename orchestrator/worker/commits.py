"""Commits of a worker: finished items and outputs on their way to the broker.

Called in the child, every method with the lock held. What is put and finished gathers here and is
committed in chunks: when a chunk is full, before anything waits, and by the flusher (`flusher.py`)
when the target keeps the main thread for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Commit,
    End,
    Failure,
    Grant,
    Output,
    Unwant,
    Wait,
    Want,
)
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.acks import AckCounter
from orchestrator.worker.chunks import MOST_BYTES, dump
from orchestrator.worker.errors import FencedError, InconsistentError, NoRoomError
from orchestrator.worker.gets import Gets
from orchestrator.worker.lease import Lease
from orchestrator.worker.link import Link
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.replay import ReplayChecks
from orchestrator.worker.requests import Requests
from orchestrator.worker.window import ItemWindow, StreamWindow

__all__ = ["Commits"]

_IDLE_S = 0.002
"""Whoever has sent nothing for so long is not in a burst."""
_SPARSE = 4
"""What was put since the flusher's last glance, at most, is no burst."""
_MUCH_TOLD = 1 << 20
"""Characters of failures that make a commit of their own: a message has a longest length."""


class Commits(Requests):
    """A worker's outboxes, finished items, and the commits that take both to the broker.

    `by_item`: outputs belong to the item being worked on and are sent only once it is finished
    (rule 2); else what is put may be sent at any time. `waiting` surrounds a wait for room in the
    midst of an item. `attention` asks whoever works through a window to look up before the next
    item. `unsent_since` is the monotonic time since when something is held that is not sent, else
    0; `arm` tells the flusher so, `hurry` that others may wait for it. `partially_emitted`: a part
    of what the item at hand gives has left. `ordered`: what is finished waits for its turn at the
    broker, so no credit is needed, and an item gives all it gives in one commit. While it is
    `held`, nothing is committed and no credit returned. `gets` are told with the commits of a
    worker that must get in the same order again, else None. The books are `inconsistent` while they
    change; who finds them so knows that an exception came in between. `dump` makes an item's
    pickle.
    """

    def __init__(
        self,
        link: Link,
        queues: Mapping[str, QueueInfo],
        *,
        by_item: bool,
        arm: Callable[[], None],
        hurry: Callable[[], None] = lambda: None,
        replays: ReplayChecks | None = None,
        ordered: bool = False,
        gets: Gets | None = None,
    ) -> None:
        super().__init__(link)
        self.gets = gets
        self.attention = self.held = self.partially_emitted = self.inconsistent = False
        self.waiting: Callable[[], AbstractContextManager[None]] = nullcontext
        self.dump: Callable[[Any], bytes] = dump
        self.acks = AckCounter()
        self.unsent_since = 0.0
        self._queues = queues
        self._by_item = by_item
        self._ordered = ordered
        self._arm = arm
        self._hurry = hurry
        self.replays = replays or ReplayChecks()
        self._leases: dict[int, Lease] = {}
        self._outboxes: list[Outbox] = []
        self._outbox_of: dict[str, Outbox] = {}
        self._window: ItemWindow | StreamWindow | None = None
        self._seq = self._answered_seq = self._overdrawn = 0
        self._sent_at = 0.0
        self._for_room = 0
        self._fenced = False
        self._full = ""

    # -- outputs -----------------------------------------------------------------------------------

    def outbox(self, queues: tuple[str, ...], *, overdraws: bool = False) -> Outbox:
        """The outbox that puts on these queues; a queue has one outbox.

        `overdraws`: nobody will wait for credit before a put.
        """
        outbox = self._outbox_of.get(queues[0])
        if outbox is None:
            infos = {queue: self._queues[queue] for queue in queues}
            done = self.acks.done if self._by_item else 0
            outbox = Outbox.of(infos, done=done, free=self._ordered, overdraws=overdraws)
            outbox.dump = self.dump
            self.replays.equip(outbox)
            self._outboxes.append(outbox)
            self._outbox_of.update(dict.fromkeys(queues, outbox))
        return outbox

    def put(self, outbox: Outbox, item: Any) -> None:
        """Put what there is credit for, or what the item at hand emits: in parts, if it is much."""
        if not self.unsent_since:
            self.note_unsent()
        if self._window is not None and self._by_item:
            self.book()  # items that ended before this one began come first
        if self._by_item and (
            outbox.count - outbox.sealed >= outbox.part_items or self._is_bulky or outbox.is_part
        ):
            self._send_part()
        outbox.add(item)
        if outbox.is_due:
            self.attention = True
            if not self._by_item:
                self.commit()
        elif outbox.count == 1 and not self._by_item:
            self.note_put()

    def _send_part(self) -> None:
        """Send a part of what is too much for one commit; ValueError if it has to be one."""
        if not self._ordered:
            with self.waiting():
                self.commit(with_open=True)
            self.partially_emitted = True
            return
        self.commit()
        if self._is_bulky:
            raise ValueError(
                f"all that one item gives may have {MOST_BYTES:,} bytes, as its job is ordered"
            )

    @property
    def _is_bulky(self) -> bool:
        """True if what is held, with one item more, might be too much for one commit."""
        bulk = 0
        for outbox in self._outboxes:
            bulk += outbox.bulk
        return bulk >= MOST_BYTES

    def note_unsent(self) -> None:
        """Something is held that the flusher must send if nobody else does."""
        self.unsent_since = time.monotonic()
        self._arm()

    def note_put(self) -> None:
        """The first of a chunk is put, not by an item: send it if this ends an idle spell.

        Others may wait for it, so if it is not sent the flusher hurries.
        """
        now = time.monotonic()
        if now - self._sent_at >= _IDLE_S:  # the flusher has not had the time to see that
            self.commit()
            self.be_prompt()
            return
        self.unsent_since = self.unsent_since or now
        self._hurry()

    def wait_for_credit(
        self,
        outbox: Outbox,
        *,
        wait: Wait = Wait.FOREVER,
        deadline: float | None = None,
        n: int = 1,
    ) -> bool:
        """Get credit for one more item on every queue of the outbox; False when refused or late.

        The broker lets nobody wait longer than a queue has patience.
        """
        if outbox.count >= outbox.limit and not self.reading:
            self.take_in()  # it may have come in advance
        while outbox.count >= outbox.limit and not outbox.shut:
            self.commit(at_once=False)
            if outbox.count < outbox.limit:
                break
            for queue in outbox.lacking():
                refused = (
                    not self._want(outbox, queue, n, wait, deadline) and queue not in outbox.closed
                )
                if refused and queue in outbox.lacking():  # else credit in advance has come first
                    return False
        self.link.flush()
        return True

    def _want(self, outbox: Outbox, queue: str, n: int, wait: Wait, deadline: float | None) -> bool:
        """Ask for credit; if another thread has used what was on its way, get in line for more."""
        began = time.monotonic()
        if self._ask_for_credit(queue, n, wait, deadline, unsent=outbox.count):
            return True
        now, patience_s = time.monotonic(), self._queues[queue].patience_s
        late = deadline is not None and now >= deadline
        if wait is Wait.FOREVER and patience_s is not None:
            late = now - began >= patience_s / 2  # what is on its way is told at once
        if wait is Wait.NO or late or queue not in outbox.lacking():
            return False
        return self._ask_for_credit(queue, n, wait, deadline, unsent=None)

    def _ask_for_credit(
        self, queue: str, n: int, wait: Wait, deadline: float | None, *, unsent: int | None
    ) -> bool:
        want = Want(
            want=self._number(),
            queue=queue,
            unsent=unsent,
            n=n,
            least=(n + 1) // 2,
            wait=wait if self._queues[queue].patience_s is not None else self._patience(wait),
        )
        with nullcontext() if wait is Wait.NO else self._waiting_for_room():
            grant = self._request(want.want, want, _unwant, deadline)
        assert isinstance(grant, Grant)
        return grant.n > 0

    # -- finished items ----------------------------------------------------------------------------

    def finish(self, lease: Lease) -> None:
        """The next item of the lease is done; what was put since the last one is its output."""
        if not self.unsent_since:
            self.note_unsent()
        if self._window is not None:
            self.book()
        self.begin_change()
        self._finish(lease, 1)

    @property
    def is_inconsistent(self) -> bool:
        """True if the books are, or those of a outbox."""
        return self.inconsistent or any(outbox.inconsistent for outbox in self._outboxes)

    def begin_change(self) -> None:
        """From now on the books are inconsistent, until who calls this says otherwise."""
        if self.inconsistent:
            raise InconsistentError
        self.inconsistent = True

    def _finish(self, lease: Lease, n: int, *, but: Outbox | None = None) -> None:
        """Count n items as ended, which is the last change of several."""
        if self._by_item:
            for outbox in self._outboxes:
                if outbox is not but:
                    outbox.seal(n)
        if lease is not self.acks.lease:
            self.acks.switch(lease)
        lease.finished += n
        self.partially_emitted = self.inconsistent = False

    def fail(self, lease: Lease, end: End, failure: Failure) -> None:
        """The next item of the lease has failed; what it has put is forgotten."""
        if not self.unsent_since:
            self.note_unsent()
        self.begin_change()
        for outbox in self._outboxes:
            outbox.drop_open()
        self.acks.mark(end, failure)
        self._finish(lease, 1)
        if self.acks.told > _MUCH_TOLD:
            self.commit()

    def open_window(self, window: ItemWindow | StreamWindow) -> None:
        """From now on items end without the lock."""
        self._window = window
        self.attention = self.signalled
        if window.n > 1:
            self._watch(window)

    def _watch(self, window: ItemWindow | StreamWindow) -> None:
        """Let the flusher see what ends in a window; soon, where that puts something."""
        if window.puts:
            self._hurry()
        else:
            self._arm()

    def close_window(self) -> None:
        """From now on items end with the lock held again."""
        if (window := self._window) is not None:
            self.book()
            window.close()
            self._window = None

    def book(self) -> None:
        """Take in what has ended of the open window."""
        window = self._window
        if window is None:
            return
        self.begin_change()
        lease = window.lease
        if lease is not None:
            lease.started = window.started
        n, outbox = window.take_in()
        if n and not self.unsent_since:
            self.note_unsent()
        if lease is not None and n:
            self._finish(lease, n, but=outbox)
        self.inconsistent = False

    def may_start(self, lease: Lease, index: int) -> bool:
        """True if the item at `index` may begin in the open window: it is still the worker's."""
        assert self._window is not None
        self._watch(self._window)
        self.book()
        self.attention = self.signalled or lease.limit < lease.total
        return index < lease.limit and not self.is_due

    @property
    def is_due(self) -> bool:
        """True if a chunk is full, or the credits for one are used up."""
        for outbox in self._outboxes:  # noqa: SIM110 - asked for each item: no generator
            if outbox.count >= outbox.due and outbox.count:
                return True
        return False

    def commit_due(self) -> None:
        """Commit if a chunk is full; if not, and something is put, the flusher does it soon."""
        if self.is_due:
            self.commit()
        elif any(outbox.count for outbox in self._outboxes):
            self._hurry()

    def be_prompt(self) -> None:
        """Nothing has moved for a while: what is put next is sent at once."""
        if self._for_room:
            return
        for outbox in self._outboxes:
            outbox.be_prompt()
        self.attention = self.attention or self._window is not None

    @contextmanager
    def _waiting_for_room(self) -> Iterator[None]:
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
                for outbox in self._outboxes:
                    outbox.be_patient()

    def drop_open(self) -> None:
        """Forget what the item at hand has put: it will be tried again."""
        for outbox in self._outboxes:
            outbox.drop_open()

    # -- commits -----------------------------------------------------------------------------------

    def commit(self, *, with_open: bool | None = None, at_once: bool = True) -> None:
        """Send what is finished and put, and wait only if that was more than there was credit for.

        `with_open` sends the open item's outputs too; unless said, where items do not own them. One
        that need not leave `at_once`, nor wait, leaves with the next frame. Raises FencedError when
        the broker refuses, LinkClosedError when it is gone.
        """
        self._settle()
        if self._queue_commit(with_open=with_open):
            if at_once:
                self.link.flush()
            self._settle()
            if at_once:
                self._arm()  # last, for it wakes a thread: unused credits are to be returned

    @property
    def commits(self) -> int:
        """Return how many commits were made."""
        return self._seq

    @property
    def is_sparse(self) -> bool:
        """True if so little is held that each of it might have been sent as it was put.

        Items are not held up for that: what they give is gathered while they end.
        """
        return not self._by_item and sum(outbox.count for outbox in self._outboxes) <= _SPARSE

    @property
    def put_so_far(self) -> tuple[int, int]:
        """A pair of numbers that is another whenever something was put."""
        return self._seq, sum(outbox.count for outbox in self._outboxes)

    @property
    def _is_overdrawn(self) -> bool:
        """True if a commit that needs its answer has not got it yet."""
        return self._answered_seq < self._overdrawn

    def _settle(self) -> None:
        if self._overdrawn:
            self.link.flush()
            with self._waiting_for_room():
                self._wait(lambda: not self._is_overdrawn)
            self._overdrawn = 0

    def _queue_commit(
        self,
        *,
        with_open: bool | None = None,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
    ) -> bool:
        """Have what there is to commit leave with the next frame; whether there was anything."""
        taken = self._take(with_open=with_open, returned=returned, awaited=awaited)
        if taken is None:
            return False
        self.link.queue(*taken)
        return True

    def _take(
        self,
        *,
        with_open: bool | None = None,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
    ) -> tuple[Commit, tuple[Blob, ...]] | None:
        """Make a commit, with its chunks, of what is finished and put; None for nothing."""
        if self._fenced:
            raise self._refusal()
        if self.held:
            return None
        if with_open is None:
            with_open = not self._by_item
        self.begin_change()
        self.unsent_since = 0.0
        outputs: list[Output] = []
        blobs: list[Blob] = []
        done = self.acks.done
        overdrawn = False
        for outbox in self._outboxes:
            if outbox.inconsistent:
                raise InconsistentError
            sent = len(outputs)
            if outbox.count or outbox.sealed or outbox.seals is not None:
                outbox.take(done, outputs, blobs, with_open=with_open)
            weighed = outbox.weighs and not outbox.free and len(outputs) > sent
            overdrawn = overdrawn or outbox.limit < 0 or weighed
        if not (outputs or done or returned):
            self.inconsistent = False
            return None
        self._seq += 1
        self._sent_at = time.monotonic()
        if overdrawn:
            self._overdrawn = self._seq
        finished, marks = self.acks.take()
        message = Commit(
            seq=self._seq,
            finished=finished,
            marks=marks,
            outputs=tuple(outputs),
            returned=returned,
            awaited=awaited or self._overdrawn > 0,
            got=self.gets.take() if self.gets is not None else (),
        )
        self._drop_leases(number for number, _ in finished)
        self.inconsistent = False
        return message, tuple(blobs)

    def _refusal(self) -> FencedError:
        """Return why nothing is taken from this worker any more."""
        if self._full:
            return NoRoomError(self._full)
        return FencedError("its items were given to others")

    def _drop_leases(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            lease = self._leases.get(number)
            if lease is not None and lease.finished == lease.limit:
                del self._leases[number]


def _unwant(number: int) -> Unwant:
    return Unwant(want=number)
