"""One process's connection to one broker: a client and its flusher, made at the first use.

Called in the processes that use the queues.
"""

from __future__ import annotations

import dataclasses
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from multiprocessing import util

from orchestrator.core.broker.queue import chunk_items
from orchestrator.errors import QueueError
from orchestrator.features.standalone.acks import PageAcks, SizeCounts
from orchestrator.features.standalone.pages import JOIN, WATCH, AckPage, Size, SizePage
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.chunks import ItemPickler
from orchestrator.worker.client import Client
from orchestrator.worker.errors import LinkClosedError
from orchestrator.worker.flusher import Flusher
from orchestrator.worker.handle import Prefetch, QueueHandle
from orchestrator.worker.link import Link
from orchestrator.worker.outbox import Outbox

__all__ = ["BrokerGoneError", "Handle", "Session", "Use"]

_FLUSH_AT_EXIT = 10
"""Before multiprocessing waits for a process's children, which may wait for these items."""


class BrokerGoneError(LinkClosedError, QueueError, ConnectionError):
    """The process that holds the queues is dead (killed, for it never ends before its users do)."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"the process that held this queue's items is gone: {detail}")
        self.hint = "see what killed it: out of memory, or a SIGKILL to all processes of this user"


class _SharedClient:
    """A client whose queues come and go, and whose items are never delivered again.

    `holds` counts the queues in use; `released` are those that were let go, for the flusher.
    """

    def __init__(self, link: Link, flusher: Flusher) -> None:
        self.infos: dict[str, QueueInfo] = {}
        self.released: deque[Use] = deque()
        self.id = int.from_bytes(os.urandom(8)) >> 1
        self.sizes = SizeCounts(self.id)
        self.watched: set[int] = set()
        self.holds = 0
        self.closed = self.gone = False
        self.client = Client(
            link,
            self.infos,
            by_item=False,
            arm=flusher.arm,
            hurry=flusher.hurry,
            pickler=ItemPickler(once=True),
            on_commit=self.sizes.note,
            sees_stalls=False,
            returns_strays=True,
        )
        self.connection = self.client.connection
        self.commit = self.client.commits.commit

    def tick(self, now: float, patience_s: float) -> bool:
        """See `Commits.tick`; queues that were let go are left, after the last the flusher ends."""
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
        return self.client.commits.tick(now, patience_s)

    def outlive_broker(self) -> None:
        """Called by the flusher when the broker is gone: close what is let go from now on.

        Whoever waits for an event wakes up, and is told by what he does next.
        """
        self.gone = True
        lock, link = self.connection.lock, self.connection.link
        with lock:
            for event in self.watched:
                os.eventfd_write(event, 1)
        while True:
            with lock:
                if not self.holds:
                    return
                link.hush()
                while self.released:
                    self._end(self.released.popleft())
                if not self.holds:
                    return
            link.sleep(None)

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
            self.connection.close()

    def _forget(self, name: str) -> None:
        client = self.client
        self.infos.pop(name, None)
        self.sizes.forget(name)
        client.leases.forget_queue(name)
        if returned := client.outboxes.forget(name):
            client.commits.send(returned=tuple(returned))


class Handle:
    """A handle that need not ask the broker what the page of its queue tells.

    `event` returns the descriptor that is readable while the queue has items.
    """

    event: Callable[[], int]

    def __init__(self, name: str, shared: _SharedClient, acks: PageAcks, sizes: SizePage) -> None:
        self._name = name
        self._shared = shared
        self._lock = shared.connection.lock
        self._sizes = sizes
        self._maxsize = shared.infos[name].maxsize
        self._is_closed = False
        self._prefetch = Prefetch(name, shared.client)
        self._prefetch.is_coming = self._is_coming
        self._handle = handle = QueueHandle(
            name,
            shared.client,
            acks,
            holder="this process",
            reads=True,
            writes=True,
            prefetch=self._prefetch,
        )
        self.put, self.get = handle.put, handle.get  # bound here: they are called for each item
        self.task_done, self.join = handle.task_done, handle.join
        self.give_back, self.stop_prefetch = self._prefetch.give_back, self._prefetch.stop

    def close(self) -> None:
        """Put and get no more; what was put is sent."""
        self._is_closed = True
        self._handle.close()

    @property
    def _outbox(self) -> Outbox | None:
        return self._shared.client.outboxes.of(self._name)

    def _look(self) -> Size | None:
        """Return what is on the queue, as far as nothing here is on its way (lock held)."""
        outbox = self._outbox
        if self._is_closed or self._shared.gone or (outbox is not None and outbox.count):
            return None
        return self._sizes.look()

    def _look_ahead(self) -> Size | None:
        """The same, unless items were pulled that nobody has got."""
        with self._lock:
            return None if self._prefetch.has_leases else self._look()

    def _is_coming(self, timeout_s: float) -> bool:
        """Wait until the queue has items; whether it may have, as far as the page tells."""
        event, lock = self.event(), self._lock
        poller = select.poll()
        poller.register(event, select.POLLIN)
        lock.release()
        try:
            ready = poller.poll(timeout_s * 1000)
        finally:
            lock.acquire()
        found = self._look()
        return bool(ready) or found is None or found.coming + found.queued > 0

    def ask_broker(self) -> None:
        """Have the broker answer, which from now on keeps the page up to date."""
        self._handle.qsize()

    def is_surely_empty(self) -> bool:
        """True if `get_nowait` would find nothing."""
        found = self._look_ahead()
        return found is not None and not (found.coming or found.size)

    def is_surely_full(self) -> bool:
        """True if `put_nowait` would find no room."""
        with self._lock:
            outbox = self._outbox
            if self._maxsize <= 0 or (outbox is not None and outbox.count < outbox.limit):
                return False
            found = self._look()
        return found is not None and found.queued >= self._maxsize

    def qsize(self) -> int:
        """Items on the queue: put, and not yet taken."""
        found = self._look_ahead()
        if found is None or found.queued != found.size:
            return self._handle.qsize()
        return found.size + found.coming

    def full(self) -> bool:
        """True if the queue holds as many items as it may right now."""
        if self._maxsize <= 0:
            return False
        found = self._look_ahead()
        if found is not None and found.queued >= self._maxsize:
            return True
        if found is None or found.queued != found.size:
            return self._handle.full()
        return found.size + found.coming >= self._maxsize

    def empty(self) -> bool:
        """True if nothing is on the queue right now; raises as QueueHandle's."""
        with self._lock:
            if not self._is_closed and self._prefetch.is_there():
                return False
            found = self._look()
        if found is not None:
            if found.coming or found.queued:
                return False
            if not found.size:
                return True
        return self._handle.empty()


@dataclasses.dataclass(kw_only=True, eq=False)
class Use:
    """A queue in use by this process; `token` is what is closed when it was let go.

    `watched` is the descriptor that tells whether it has items, once somebody has asked for it.
    """

    name: str
    session: Session
    handle: Handle
    acks: PageAcks
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
        flusher = Flusher()
        self._shared = shared = _SharedClient(self._link, flusher)
        pidfd = os.pidfd_open(os.getpid())
        try:
            hello = JOIN.pack(b"join", self._shared.id)
            socket.send_fds(token, [hello], [theirs.fileno(), self._page.fd, pidfd])
        except OSError as error:
            self._shared.connection.close()
            raise BrokerGoneError(str(error)) from error
        finally:
            theirs.close()
            self._page.close_fd()
            os.close(pidfd)
        self._at_exit = util.Finalize(None, self._flush, exitpriority=_FLUSH_AT_EXIT)
        self._at_end = at_end
        flusher.start(shared.client, tick=shared.tick, at_end=self._ended)

    def attach(self, name: str, maxsize: int, token: socket.socket, sizes: SizePage) -> Use | None:
        """A handle on one queue, whose own token this is; None if the session has just ended."""
        shared = self._shared
        with shared.connection.lock:
            if shared.closed:
                return None
            shared.holds += 1
            info = QueueInfo(maxsize=maxsize, chunk_items=chunk_items(maxsize, producers=1))
            shared.infos[name] = info
            shared.sizes.pages[name] = sizes
            acks = PageAcks(shared.client, self._page)
            handle = Handle(name, shared, acks, sizes)
            use = Use(name=name, session=self, handle=handle, acks=acks, sizes=sizes)
            use.handle.event = lambda: self.event(use, token)
            return use

    def watch(self, use: Use, token: socket.socket) -> int:
        """The same, and from now on this process has no items that the broker does not count."""
        with self._shared.connection.lock:
            use.handle.stop_prefetch()
            return self.event(use, token)

    def event(self, use: Use, token: socket.socket) -> int:
        """The descriptor that the broker keeps readable while the queue has items."""
        shared = self._shared
        with shared.connection.lock:
            if use.watched is None:
                use.handle.ask_broker()  # an answer: it knows this process by now
                event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                try:
                    hello = WATCH.pack(b"watch", shared.id)
                    socket.send_fds(token, [hello], [event])
                except OSError as error:
                    os.close(event)
                    raise BrokerGoneError(str(error)) from error
                use.watched = event
                shared.watched.add(event)
            return use.watched

    def detach(self, use: Use) -> None:
        """A queue was let go, maybe by the garbage collector: only note it, the flusher does it."""
        self._shared.released.append(use)
        self._link.wake()

    def drop(self) -> None:
        """Called in a forked child: the connection is the parent's."""
        if not self._shared.closed:
            self._shared.connection.close()
            self._page.close()
            for event in self._shared.watched:
                os.close(event)

    def _ended(self) -> None:
        self._shared.outlive_broker()
        self._at_exit.cancel()
        self._page.close()
        self._at_end(self)

    def _flush(self) -> None:
        shared = self._shared
        with shared.connection.lock:
            if not shared.closed:
                shared.commit()
