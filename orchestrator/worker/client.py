"""The worker's side of the broker: leases in, commits out. Called in the child."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Answer,
    Closing,
    CommitStatus,
    Committed,
    Ended,
    Failure,
    FromWorker,
    Grant,
    Leased,
    NoLease,
    Pull,
    Recall,
    Released,
    Shut,
    Stop,
    ToWorker,
    Unpull,
    Wait,
    Worn,
)
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.commits import Commits
from orchestrator.worker.errors import NoRoomError
from orchestrator.worker.gets import Gets
from orchestrator.worker.lease import Lease
from orchestrator.worker.link import Link
from orchestrator.worker.replay import ReplayChecks

__all__ = ["Client"]


class Client(Commits):
    """One worker's leases and requests, and what arrives for it.

    `stop_asked`: a source shall end. `closing`: nothing may be put any more. `returned`: the target
    and the threads it waits for have ended, so that no transaction may begin any more.
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
        super().__init__(
            link,
            queues,
            by_item=by_item,
            arm=arm,
            hurry=hurry,
            replays=replays,
            ordered=ordered,
            gets=gets,
        )
        self.stop_asked = self.closing = self.returned = False
        self._block: threading.Thread | None = None
        self._shared: dict[str, deque[Lease]] = {}

    @property
    def progress(self) -> int:
        """A number that stays the same while the target is at one item and asks for nothing."""
        return self.activity + sum(lease.started for lease in self._leases.values())

    # -- requests (lock held) ---------------------------------------------------------------------

    def pull(
        self,
        queues: tuple[str, ...],
        *,
        most: int,
        least: int = 1,
        within_s: float = 0.0,
        wait: Wait = Wait.FOREVER,
        deadline: float | None = None,
        unless: Callable[[], bool] | None = None,
    ) -> Lease | Ended | None:
        """Commit, then take a lease; None when there is nothing and no more time.

        The wait also ends when `unless` comes true through another thread.
        """
        self._settle()
        taken = self._take()
        if taken is not None and self._overdrawn:  # it has to wait, so it goes before the pull
            self.link.queue(*taken)
            self._settle()
            taken = None
        commit, blobs = taken or (None, ())
        while True:
            self._numbers = number = self._numbers + 1
            pull = Pull(
                pull=number,
                queues=queues,
                most=most,
                least=least,
                within_s=within_s,
                wait=self._patience(wait),
                commit=commit,
                polls=wait is not Wait.FOREVER,
            )
            reply = self._request(number, pull, _unpull, deadline, unless=unless, blobs=blobs)
            if not isinstance(reply, Leased):
                return reply if isinstance(reply, Ended) else None
            lease = self._leases.get(reply.lease)
            if lease is not None:
                if lease.limit > 1:
                    self._arm()
                return lease
            # recalled in the same breath, before its first item was begun: ask again
            commit, blobs = None, ()

    def ask(
        self, make: Callable[[int], FromWorker], deadline: float | None = None
    ) -> Answer | None:
        """Commit, then send a question made with a fresh number; None when time is up."""
        self.commit(at_once=False)
        number = self._number()
        self.link.queue(make(number))
        answer = self._reply(number, deadline)
        assert answer is None or isinstance(answer, Answer)
        return answer

    def mark(self) -> Callable[[], None]:
        """A transaction begins, with nothing unsent; returns what rolls it back.

        It forgets what was put since, and gives back what was started.
        """
        self.close_window()  # from now on a stream takes its items with the lock held
        while self.acks.done or any(outbox.count for outbox in self._outboxes):
            self.commit()  # which may wait, while other threads put
        before = {n: (lease.started, lease.finished) for n, lease in self._leases.items()}
        others, lease = self.replays.mark(), self.acks.lease
        if self.gets is not None:
            others.append(self.gets.mark())

        def undo() -> None:
            for outbox in self._outboxes:
                outbox.drop_open()
            for rewind in others:
                rewind()
            self.acks.clear()
            self._give_back_since(before)
            self.acks.switch(lease)
            self.unsent_since = 0.0

        return undo

    def _give_back_since(self, before: Mapping[int, tuple[int, int]]) -> None:
        """Undo the progress of leases since then."""
        for lease in reversed(list(self._leases.values())):  # the last one first: to the head
            started, finished = before.get(lease.number, (0, 0))
            if lease.started > started:
                lease.started, lease.finished = started, finished
                self.give_back(lease)
            else:
                lease.finished = finished

    def hold(self) -> None:
        """The calling thread has begun a transaction."""
        self.held, self._block = True, threading.current_thread()

    def let_go(self) -> None:
        """The transaction has ended, in whatever way."""
        self.held, self._block = False, None
        self._turn.notify_all()

    def await_block(self, within_s: float) -> None:
        """The target has returned: wait for the transaction another thread is in (lock held)."""
        self.returned = True
        deadline = time.monotonic() + within_s
        while (thread := self._block) is not None and thread.is_alive():
            left = deadline - time.monotonic()
            if thread is threading.current_thread() or left <= 0:
                return
            self._turn.wait(left)

    def shared_leases(self, queue: str) -> deque[Lease]:
        """The leases of a queue whose readers are threads: each takes from whichever has come."""
        return self._shared.setdefault(queue, deque())

    def give_back(self, lease: Lease) -> None:
        """Return the items of a lease that were not started."""
        lease.limit = lease.started
        if lease.finished == lease.limit and not (self.held and lease.started):
            self._leases.pop(lease.number, None)  # else a transaction may need it again
        self.send(Released(lease=lease.number, kept=lease.limit))

    def retire(self) -> None:
        """The target and its threads have ended: commit what there is, nothing is put any more."""
        self.closing = True
        self.close_window()
        self.commit()

    def close(
        self,
        failure: Failure | None,
        *,
        stopped: bool,
        signalled: bool = False,
        recycled: Worn | None = None,
        stack: str = "",
        readers_failed: bool = False,
    ) -> Failure | None:
        """Commit everything and say that this was the last message.

        Returns the failure that is told: this one, or that something was put too late.
        """
        self.closing = True
        self.close_window()
        with contextlib.suppress(NoRoomError):  # that has failed the job already
            self._settle()
            if failure is None and not stopped:
                failure = self._late() if self._by_item else self._unended()
            self._commit_last()
        self._fenced = self._fenced or self.held  # should a block end yet, that comes too late
        self.send(
            Closing(
                failure=failure,
                stopped=stopped,
                signalled=signalled,
                recycled=recycled,
                stack=stack,
                readers_failed=readers_failed,
            )
        )
        return failure

    def _commit_last(self) -> None:
        """Commit everything, and see it applied."""
        if self._queue_commit(awaited=True):
            last = self._seq  # the flusher may send more, and nobody waits for the answer to that
            self.link.flush()
            self._wait(lambda: self._answered_seq >= last)
            self._overdrawn = 0

    def _late(self) -> Failure | None:
        """Return the error for what was put after the last item had ended: it belongs to none."""
        for outbox in self._outboxes:
            if n := outbox.count - outbox.sealed:
                return Failure(
                    kind="QueueError",
                    message=f"{n} of the items put on {' and '.join(outbox.queues)} belong to no"
                    " item:"
                    " a thread of the target put them when its last call had returned; wait for"
                    " your threads before you return",
                )
        return None

    def _unended(self) -> Failure | None:
        """Return what is wrong if a transaction has not ended: nothing of it is committed."""
        if (thread := self._block) is None:
            return None
        text = "a transaction had not ended when the target returned, so nothing of it is committed"
        if thread is threading.main_thread():
            text += (
                ": its main thread has not left the block; an exception between the beginning of"
                " a transaction and its block (of a signal handler?) does that: let it through"
            )
        else:
            text += (
                f": thread {thread.name!r} was inside it; wait for your threads (daemon threads,"
                " too, if they put or get) before you return"
            )
        return Failure(kind="QueueError", message=text)

    # -- pacing: called by the flusher
    # ---------------------------------------------------------------

    def tick(self, now: float, patience_s: float) -> bool:
        """Send what has waited for `patience_s`; whether there is more to watch over."""
        self.book()
        if self._is_overdrawn or self._fenced:
            return True
        if not self.unsent_since:
            return False
        if now - self.unsent_since >= patience_s and self._queue_commit():
            self.link.flush()
        return True

    def return_credits(self) -> None:
        """Give back credits that nobody has used since this was last called."""
        if self._is_overdrawn or self._fenced or self.held:
            return
        returned: list[tuple[str, int]] = []
        for outbox in self._outboxes:
            if not (outbox.in_use or outbox.count):
                returned += outbox.idle_credits()
                self.attention = True  # a window was begun on them
            outbox.in_use = outbox.count > 0
        if returned and self._queue_commit(returned=tuple(returned)):
            self.link.flush()

    # -- what arrives (lock held) -----------------------------------------------------------------

    def _act(self, message: ToWorker, blobs: tuple[Blob, ...]) -> None:
        match message:
            case Leased():
                lease = self._leases[message.lease] = Lease(message, blobs)
                if (shared := self._shared.get(message.queue)) is not None:
                    shared.append(lease)
                self._answer(message.pull, message)
            case NoLease() | Ended():
                self._answer(message.pull, message)
            case Answer():
                self._answer(message.ask, message)
            case Grant():
                self._on_grant(message)
            case Committed():
                self._on_committed(message)
            case Shut():
                if outbox := self._outbox_of.get(message.queue):
                    outbox.shut_queue(message.queue, message.reader, returned=message.returned)
                    self.attention = True
            case Recall():
                self._on_recall(message)
            case Stop():
                self.stop_asked = self.attention = True

    def _on_committed(self, message: Committed) -> None:
        self._answered_seq = message.seq
        if message.status is not CommitStatus.APPLIED:
            self._fenced = self.attention = True
            self._full = message.full
            raise self._refusal()
        if message.seq == self._overdrawn:
            for queue, n in message.credits:
                if outbox := self._outbox_of.get(queue):  # a handle that was never used has none
                    outbox.set_credits(queue, n)
            self._note_credit()

    def _on_grant(self, message: Grant) -> None:
        if outbox := self._outbox_of.get(message.queue):
            outbox.grant(message.queue, message.n)
            self._note_credit()
        if message.want:
            self._answer(message.want, message)

    def _note_credit(self) -> None:
        """Credit has come, maybe while this worker waits for more: unless used it is given back."""
        self.activity += 1
        self._arm()

    def _on_recall(self, message: Recall) -> None:
        if (lease := self._leases.get(message.lease)) is not None:
            self.attention = True  # before it is seen which item has been started
            self.book()
            self.give_back(lease)

    def _return(self, reply: ToWorker) -> None:
        if isinstance(reply, Leased) and (lease := self._leases.get(reply.lease)) is not None:
            self.give_back(lease)


def _unpull(number: int) -> Unpull:
    return Unpull(pull=number)
