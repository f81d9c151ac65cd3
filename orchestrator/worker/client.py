"""The client: a worker's side of the broker, put together. Called in the child.

Its parts are the `connection` (the link and the lock), the `outboxes`, the `acks` of finished
items, the `leases`, and the `commits` that send what these hold. The client asks the broker for
items and credit, and hands what arrives to the part that it is for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import (
    Answer,
    ArenaGone,
    Closing,
    Committed,
    Ended,
    Failure,
    Freed,
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
    Unwant,
    Wait,
    Want,
    Worn,
)
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.acks import Acks
from orchestrator.worker.arenas import UnseenArenaError, WorkerArenas
from orchestrator.worker.chunks import ItemPickler, sole
from orchestrator.worker.commits import Commits, OnCommit
from orchestrator.worker.connection import AnyLink, Connection
from orchestrator.worker.errors import NoRoomError
from orchestrator.worker.large import SplitPickle
from orchestrator.worker.lease import Lease, Leases
from orchestrator.worker.outbox import Outbox, Outboxes
from orchestrator.worker.replay import Gets, ReplayChecks

__all__ = ["Client"]


class Client:
    """One worker's parts, its requests, and what arrives for it; every method needs the lock.

    `by_item`, `ordered`, `arm`, `hurry`, `on_commit`: see Commits. `gets` are told with the commits
    of a worker that must get in the same order again, else None. `sees_stalls`: see Connection.
    `returns_strays`: credit for a queue that has no outbox is returned, for queues come and go.
    """

    def __init__(
        self,
        link: AnyLink,
        queues: Mapping[str, QueueInfo],
        *,
        by_item: bool,
        arm: Callable[[], None],
        hurry: Callable[[], None] = lambda: None,
        replays: ReplayChecks | None = None,
        ordered: bool = False,
        gets: Gets | None = None,
        pickler: ItemPickler | None = None,
        arenas: WorkerArenas | None = None,
        on_commit: OnCommit | None = None,
        sees_stalls: bool = True,
        returns_strays: bool = False,
    ) -> None:
        self.stop_asked = False
        """A source shall end."""
        self.closing = False
        """Nothing may be put any more."""
        self.returned = False
        """The target and the threads it waits for have ended: no transaction may begin any more."""
        self.pickler = pickler or ItemPickler()
        self.replays = replays or ReplayChecks()
        self.gets = gets
        self.connection = Connection(
            link, act=self.act, take_back=self._take_back, sees_stalls=sees_stalls
        )
        self.arenas = arenas or WorkerArenas()
        # Where what is put gets a digest that is of its pickle as a whole.
        self.dump: Callable[[Any], bytes | SplitPickle] = (
            self.pickler.dump if self.replays.counted else self.pickler.divide
        )
        self.sole = partial(sole, arenas=self.arenas)
        self.outboxes = Outboxes(
            queues,
            replays=self.replays,
            ordered=ordered,
            dump=self.dump,
            sole=self.sole,
            lay=self.arenas.lay,
        )
        self.acks = Acks(self.connection, self.outboxes, by_item=by_item, arm=arm, hurry=hurry)
        self.leases = Leases()
        self.commits = Commits(
            self.connection,
            self.outboxes,
            self.acks,
            self.leases,
            by_item=by_item,
            ordered=ordered,
            arm=arm,
            hurry=hurry,
            gets=gets,
            on_commit=on_commit,
        )
        self._queues, self._by_item, self._arm = queues, by_item, arm
        self._returns_strays = returns_strays
        self._block: threading.Thread | None = None

    @property
    def progress(self) -> int:
        """A number that stays the same while the target is at one item and asks for nothing."""
        return self.connection.activity + self.leases.started

    @property
    def put_so_far(self) -> tuple[int, int]:
        """A pair of numbers that is another whenever something was put."""
        return self.commits.seq, self.outboxes.count

    def outbox(self, queues: tuple[str, ...], *, overdraws: bool = False) -> Outbox:
        """The outbox that puts on these queues; a queue has one outbox.

        `overdraws`: nobody will wait for credit before a put.
        """
        done = self.acks.counter.done if self._by_item else 0
        return self.outboxes.open(queues, done=done, overdraws=overdraws)

    # -- requests ---------------------------------------------------------------------------------

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
        connection = self.connection
        commit, blobs = self.commits.carry() or (None, ())
        while True:
            number = connection.number()
            pull = Pull(
                pull=number,
                queues=queues,
                most=most,
                least=least,
                within_s=within_s,
                wait=connection.patience(wait),
                commit=commit,
                polls=wait is not Wait.FOREVER,
            )
            reply = connection.request(number, pull, _unpull, deadline, unless=unless, blobs=blobs)
            if not isinstance(reply, Leased):
                return reply if isinstance(reply, Ended) else None
            lease = self.leases.by_number.get(reply.lease)
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
        self.commits.commit(at_once=False)
        number = self.connection.number()
        self.connection.link.queue(make(number))
        answer = self.connection.reply(number, deadline)
        assert answer is None or isinstance(answer, Answer)
        return answer

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
        if outbox.count >= outbox.limit and not self.connection.reading:
            self.connection.take_in()  # it may have come in advance
        while outbox.count >= outbox.limit and not outbox.shut:
            self.commits.commit(at_once=False)
            if outbox.count < outbox.limit:
                break
            for queue in outbox.lacking():
                refused = (
                    not self._want(outbox, queue, n, wait, deadline)
                    and queue not in outbox.credits.closed
                )
                if refused and queue in outbox.lacking():  # else credit in advance has come first
                    return False
        self.connection.link.flush()
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
        connection = self.connection
        patient = self._queues[queue].patience_s is not None
        want = Want(
            want=connection.number(),
            queue=queue,
            unsent=unsent,
            n=n,
            least=(n + 1) // 2,
            wait=wait if patient else connection.patience(wait),
            whole=self.commits.held,
        )
        waits = wait is not Wait.NO
        with self.commits.waiting_for_room() if waits else contextlib.nullcontext():
            grant = connection.request(want.want, want, _unwant, deadline)
        assert isinstance(grant, Grant)
        return grant.n > 0

    def give_back(self, lease: Lease) -> None:
        """Return the items of a lease that were not started."""
        lease.limit = lease.started
        if lease.finished == lease.limit and not (self.commits.held and lease.started):
            self.leases.by_number.pop(lease.number, None)  # else a transaction may need it again
        self.connection.send(Released(lease=lease.number, kept=lease.limit))

    # -- transactions -----------------------------------------------------------------------------

    def hold(self) -> None:
        """The calling thread has begun a transaction."""
        self.commits.held, self._block = True, threading.current_thread()

    def let_go(self) -> None:
        """The transaction has ended, in whatever way."""
        self.commits.held, self._block = False, None
        self.connection.wake_others()

    def await_block(self, within_s: float) -> None:
        """The target has returned: wait for the transaction another thread is in."""
        self.returned = True
        deadline = time.monotonic() + within_s
        while (thread := self._block) is not None and thread.is_alive():
            left = deadline - time.monotonic()
            if thread is threading.current_thread() or left <= 0:
                return
            self.connection.wait_for_others(left)

    # -- the end ----------------------------------------------------------------------------------

    def retire(self) -> None:
        """The target and its threads have ended: commit what there is, nothing is put any more."""
        self.closing = True
        self.acks.close_window()
        self.commits.commit()

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
        self.acks.close_window()
        commits = self.commits
        with contextlib.suppress(NoRoomError):  # that has failed the job already
            commits.settle()
            if failure is None and not stopped:
                failure = self._late() if self._by_item else _unended(self._block)
            commits.send_last()
        # should a block end yet, that comes too late
        commits.fenced = commits.fenced or commits.held
        self.connection.send(
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

    def _late(self) -> Failure | None:
        """Return the error for what was put after the last item had ended: it belongs to none."""
        for outbox in self.outboxes.all:
            if n := outbox.count - outbox.sealed:
                return Failure(
                    kind="QueueError",
                    message=f"{n} of the items put on {' and '.join(outbox.queues)} belong to no"
                    " item:"
                    " a thread of the target put them when its last call had returned; wait for"
                    " your threads before you return",
                )
        return None

    # -- what arrives -----------------------------------------------------------------------------

    def act(self, message: ToWorker, blobs: tuple[Blob, ...]) -> None:
        """Do what a message says."""
        match message:
            case Leased():
                self._on_leased(message, blobs)
            case NoLease() | Ended():
                self.connection.answer(message.pull, message)
            case Answer():
                self.connection.answer(message.ask, message)
            case Grant():
                self._on_grant(message)
            case Committed():
                self._on_committed(message)
            case Shut():
                if outbox := self.outboxes.of(message.queue):
                    outbox.shut_queue(message.queue, message.reader, returned=message.returned)
                    self.connection.attention = True
            case Recall():
                self._on_recall(message)
            case Freed():
                self.arenas.freed(message.offsets)
            case ArenaGone():
                self.arenas.forget(message.arena)
            case Stop():
                self.stop_asked = self.connection.attention = True

    def _on_leased(self, message: Leased, blobs: tuple[Blob, ...]) -> None:
        try:
            self.leases.add(Lease(message, self.arenas.found(message, blobs)))
        except UnseenArenaError as error:  # whoever has asked for it asks again
            released = Released(lease=message.lease, kept=0, unseen=error.arena)
            self.connection.send(released)
        self.connection.answer(message.pull, message)

    def _on_committed(self, message: Committed) -> None:
        if self.commits.answered(message):
            for queue, n in message.credits:
                if outbox := self.outboxes.of(queue):  # a handle that was never used has none
                    outbox.set_credits(queue, n)
            self._note_credit()

    def _on_grant(self, message: Grant) -> None:
        outbox = self.outboxes.of(message.queue)
        if outbox is not None:
            outbox.grant(message.queue, message.n)
            self._note_credit()
        if message.want:
            self.connection.answer(message.want, message)
        if outbox is None and message.n and self._returns_strays:
            self.commits.send(returned=((message.queue, message.n),))

    def _note_credit(self) -> None:
        """Credit has come, maybe while this worker waits for more: unless used it is given back."""
        self.connection.activity += 1
        self._arm()

    def _on_recall(self, message: Recall) -> None:
        if (lease := self.leases.by_number.get(message.lease)) is not None:
            # Before it is seen which item has been started: the main thread notes an item as begun
            # and then looks at this flag, so either the item is seen here, or the flag is there.
            self.connection.attention = True
            self.acks.book()
            self.give_back(lease)

    def _take_back(self, reply: ToWorker) -> None:
        if isinstance(reply, Leased):
            lease = self.leases.by_number.get(reply.lease)
            if lease is not None:
                self.give_back(lease)


def _unended(thread: threading.Thread | None) -> Failure | None:
    """Return what is wrong if a transaction has not ended: nothing of it is committed."""
    if thread is None:
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


def _unpull(number: int) -> Unpull:
    return Unpull(pull=number)


def _unwant(number: int) -> Unwant:
    return Unwant(want=number)
