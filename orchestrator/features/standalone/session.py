"""One process's connection to one broker: a client and its flusher, made at the first use.

Called in the processes that use the queues.
"""

from __future__ import annotations

import dataclasses
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from multiprocessing import util
from queue import Empty

from orchestrator.core.broker.queue import chunk_items
from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Commit, Grant, Wait
from orchestrator.errors import QueueError
from orchestrator.features.standalone.page import AckPage
from orchestrator.features.standalone.protocol import JOIN, WATCH
from orchestrator.features.standalone.sizes import Size, SizePage
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.chunks import dump_once
from orchestrator.worker.client import Client
from orchestrator.worker.flusher import Flusher
from orchestrator.worker.handle import QueueHandle
from orchestrator.worker.lease import Lease
from orchestrator.worker.link import Link, LinkClosedError
from orchestrator.worker.transaction import Transaction

__all__ = ["BrokerGoneError", "Handle", "Session", "Use"]

_SHORT_S = 0.05
_FLUSH_AT_EXIT = 10
"""Before multiprocessing waits for a process's children, which may wait for these items."""


class BrokerGoneError(LinkClosedError, QueueError, ConnectionError):
    """The process that holds the queues is dead (killed, for it never ends before its users do)."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"the process that held this queue's items is gone: {detail}")
        self.hint = "see what killed it: out of memory, or a SIGKILL to all processes of this user"


class _SharedClient(Client):
    """A client whose queues come and go, and whose items are never delivered again."""

    def __init__(self, link: Link, flusher: _Flusher) -> None:
        self.infos: dict[str, QueueInfo] = {}
        self.released: deque[Use] = deque()
        self.id = int.from_bytes(os.urandom(8)) >> 1
        self.sizes: dict[str, SizePage] = {}
        self._slots: dict[str, int] = {}
        self.watched: set[int] = set()
        self.holds = 0
        self.closed = self.gone = False
        super().__init__(link, self.infos, by_item=False, arm=flusher.arm, hurry=flusher.hurry)
        self.dump = dump_once

    def _take(
        self,
        *,
        with_open: bool | None = None,
        returned: tuple[tuple[str, int], ...] = (),
        awaited: bool = False,
    ) -> tuple[Commit, tuple[Blob, ...]] | None:
        """See `Commits`; what is about to be sent is counted before anybody can be told of it."""
        taken = super()._take(with_open=with_open, returned=returned, awaited=awaited)
        for output in taken[0].outputs if taken is not None else ():
            for queue in output.queues:
                if (slot := self._slots.get(queue)) is None:
                    slot = self._slots[queue] = self.sizes[queue].slot(self.id)
                if slot:
                    self.sizes[queue].count(slot, output.n)
        return taken

    @property
    def acks_unsent(self) -> bool:
        """True if items that `get` has returned are not committed yet."""
        return self.acks.done > 0

    def tick(self, now: float, patience_s: float) -> bool:
        """See `Client.tick`; queues that were let go are left, after the last the flusher ends."""
        while self.released:
            use = self.released.popleft()
            try:
                if use.token is not None:
                    self.commit()
                    use.handle.give_back()
                    self._forget(use.name)
            finally:
                self._end(use)
        if self.closed:
            raise LinkClosedError
        return super().tick(now, patience_s)

    def _patience(self, wait: Wait) -> Wait:
        """Nobody looks for a stall here."""
        return wait

    def outlive_broker(self) -> None:
        """Called by the flusher when the broker is gone: close what is let go from now on.

        Whoever waits for an event wakes up, and is told by what he does next.
        """
        self.gone = True
        with self.lock:
            for event in self.watched:
                os.eventfd_write(event, 1)
        while True:
            with self.lock:
                if not self.holds:
                    return
                self.link.hush()
                while self.released:
                    self._end(self.released.popleft())
                if not self.holds:
                    return
            self.link.sleep(None)

    def _end(self, use: Use) -> None:
        use.acks.free()
        if use.watched is not None:
            self.watched.discard(use.watched)
            os.close(use.watched)
        if use.token is not None:
            use.token.close()
            use.sizes.close()
        self.holds -= 1
        if not self.holds:
            self.closed = True
            self.link.close()

    def _forget(self, name: str) -> None:
        self.infos.pop(name, None)
        self.sizes.pop(name, None)
        self._slots.pop(name, None)
        self._shared.pop(name, None)
        outbox = self._outbox_of.pop(name, None)
        if outbox is not None:
            self._outboxes.remove(outbox)
            self._return_credit(outbox.idle_credits())

    def _return_credit(self, returned: list[tuple[str, int]]) -> None:
        if returned and self._queue_commit(returned=tuple(returned)):
            self.link.flush()

    def _on_grant(self, message: Grant) -> None:
        super()._on_grant(message)
        if message.n and message.queue not in self._outbox_of:
            self._return_credit([(message.queue, message.n)])


class Handle(QueueHandle):
    """A handle that need not ask the broker what the page of its queue tells.

    `event` returns the descriptor that is readable while the queue has items.
    """

    event: Callable[[], int]

    def __init__(self, name: str, client: _SharedClient, acks: Acks, sizes: SizePage) -> None:
        super().__init__(name, client, acks, holder="this process", reads=True, writes=True)
        self._owner = client
        self._sizes = sizes
        self._maxsize = client.infos[name].maxsize
        self._in_vain = False

    def _look(self) -> Size | None:
        """Return what is on the queue, as far as nothing here is on its way (lock held)."""
        outbox = self._outbox
        if self._closed or self._owner.gone or (outbox is not None and outbox.count):
            return None
        return self._sizes.look()

    def _pull(self, block: bool, timeout: float | None) -> Lease:
        """See QueueHandle; who asks again and again for a moment, in vain, does not ask the broker.

        Its answer would be sooner there than by the event, so only then.
        """
        if self._in_vain and block and timeout is not None and 0 < timeout <= _SHORT_S:
            deadline = time.monotonic() + timeout
            if not self._is_there(timeout):
                raise Empty
            timeout = deadline - time.monotonic()
        try:
            lease = super()._pull(block, timeout)
        except Empty:
            self._in_vain = True
            raise
        self._in_vain = False
        return lease

    def _is_there(self, timeout_s: float) -> bool:
        """Wait until the queue has items; whether it may have, as far as the page tells."""
        event, client = self.event(), self._client
        poller = select.poll()
        poller.register(event, select.POLLIN)
        client.lock.release()
        try:
            ready = poller.poll(timeout_s * 1000)
        finally:
            client.lock.acquire()
        found = self._look()
        return bool(ready) or found is None or found.coming + found.queued > 0

    def ask_broker(self) -> None:
        """Have the broker answer, which from now on keeps the page up to date."""
        super().qsize()

    def is_surely_empty(self) -> bool:
        """True if `get_nowait` would find nothing."""
        with self._client.lock:
            found = None if self._leases else self._look()
        return found is not None and not (found.coming or found.size)

    def is_surely_full(self) -> bool:
        """True if `put_nowait` would find no room."""
        with self._client.lock:
            outbox = self._outbox
            if self._maxsize <= 0 or (outbox is not None and outbox.count < outbox.limit):
                return False
            found = self._look()
        return found is not None and found.queued >= self._maxsize

    def qsize(self) -> int:
        """Items on the queue: put, and not yet taken."""
        with self._client.lock:
            found = None if self._leases else self._look()
        if found is None or found.queued != found.size:
            return super().qsize()
        return found.size + found.coming

    def full(self) -> bool:
        """True if the queue holds as many items as it may right now."""
        if self._maxsize <= 0:
            return False
        with self._client.lock:
            found = None if self._leases else self._look()
        if found is not None and found.queued >= self._maxsize:
            return True
        if found is None or found.queued != found.size:
            return super().full()
        return found.size + found.coming >= self._maxsize

    def empty(self) -> bool:
        """True if nothing is on the queue right now; raises as QueueHandle's."""
        with self._client.lock:
            if not self._closed and self._has_pulled():
                return False
            found = self._look()
        if found is not None:
            if found.coming or found.queued:
                return False
            if not found.size:
                return True
        return super().empty()


class Acks(Transaction):
    """One handle's half of the page: to return an item from `get` is its ack."""

    def __init__(self, client: _SharedClient, page: AckPage) -> None:
        super().__init__(client)
        self._owner = client
        self._page = page
        self._words = page.words
        self._slot = page.slot()
        self._lease = 0

    def take(self, queue_name: str, lease: Lease) -> None:  # noqa: ARG002 - one queue only
        """An item of the lease is about to be returned by `get`."""
        client, words, slot = self._owner, self._words, self._slot
        if lease.number != self._lease:
            if client.acks_unsent:
                client.commit()  # the slot tells of one lease only
            words[slot + 1] = 0
            words[slot] = self._lease = lease.number
        client.finish(lease)
        words[slot + 1] = lease.started

    def free(self) -> None:
        """The handle's last ack is sent."""
        self._page.free(self._slot)


class _Flusher(Flusher):
    """A flusher that also sees to the descriptors, to the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.at_end: Callable[[], None] = lambda: None

    def _run(self) -> None:
        super()._run()
        assert isinstance(self._client, _SharedClient)
        self._client.outlive_broker()
        at_end, self.at_end, self._client = self.at_end, lambda: None, None  # no cycle keeps fds
        at_end()


@dataclasses.dataclass(kw_only=True, eq=False)
class Use:
    """A queue in use by this process; `token` is what is closed when it was let go.

    `watched` is the descriptor that tells whether it has items, once somebody has asked for it.
    """

    name: str
    session: Session
    handle: Handle
    acks: Acks
    sizes: SizePage
    token: socket.socket | None = None
    watched: int | None = None


class Session:
    """The connection; `token` is the socket of any queue of the broker.

    `at_end` is called, in the flusher's thread, when the last queue was let go.
    """

    def __init__(self, token: socket.socket, at_end: Callable[[Session], None]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._page = AckPage()
        self._link = Link(ours, gone=BrokerGoneError)
        flusher = _Flusher()
        self._client = _SharedClient(self._link, flusher)
        pidfd = os.pidfd_open(os.getpid())
        try:
            hello = JOIN.pack(b"join", self._client.id)
            socket.send_fds(token, [hello], [theirs.fileno(), self._page.fd, pidfd])
        except OSError as error:
            self._link.close()
            raise BrokerGoneError(str(error)) from error
        finally:
            theirs.close()
            self._page.close_fd()
            os.close(pidfd)
        self._at_exit = util.Finalize(None, self._flush, exitpriority=_FLUSH_AT_EXIT)
        self._at_end = at_end
        flusher.at_end = self._ended
        flusher.start(self._client)

    def attach(self, name: str, maxsize: int, token: socket.socket, sizes: SizePage) -> Use | None:
        """A handle on one queue, whose own token this is; None if the session has just ended."""
        client = self._client
        with client.lock:
            if client.closed:
                return None
            client.holds += 1
            info = QueueInfo(maxsize=maxsize, chunk_items=chunk_items(maxsize, producers=1))
            client.infos[name] = info
            client.sizes[name] = sizes
            acks = Acks(client, self._page)
            handle = Handle(name, client, acks, sizes)
            use = Use(name=name, session=self, handle=handle, acks=acks, sizes=sizes)
            use.handle.event = lambda: self.event(use, token)
            return use

    def watch(self, use: Use, token: socket.socket) -> int:
        """The same, and from now on this process has no items that the broker does not count."""
        with self._client.lock:
            use.handle.fetch_one_by_one()
            return self.event(use, token)

    def event(self, use: Use, token: socket.socket) -> int:
        """The descriptor that the broker keeps readable while the queue has items."""
        client = self._client
        with client.lock:
            if use.watched is None:
                use.handle.ask_broker()  # an answer: it knows this process by now
                event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                try:
                    hello = WATCH.pack(b"watch", client.id)
                    socket.send_fds(token, [hello], [event])
                except OSError as error:
                    os.close(event)
                    raise BrokerGoneError(str(error)) from error
                use.watched = event
                client.watched.add(event)
            return use.watched

    def detach(self, use: Use) -> None:
        """A queue was let go, maybe by the garbage collector: only note it, the flusher does it."""
        self._client.released.append(use)
        self._link.wake()

    def drop(self) -> None:
        """Called in a forked child: the connection is the parent's."""
        if not self._client.closed:
            self._link.close()
            self._page.close()
            for event in self._client.watched:
                os.close(event)

    def _ended(self) -> None:
        self._at_exit.cancel()
        self._page.close()
        self._at_end(self)

    def _flush(self) -> None:
        client = self._client
        with client.lock:
            if not client.closed:
                client.commit()
