"""`Queue` and `JoinableQueue` for processes and threads that a program starts itself."""

from __future__ import annotations

import operator
import os
import socket
import weakref
from multiprocessing import context, reduction
from queue import Empty, Full
from typing import Any, Generic, TypeVar

from orchestrator.features.standalone.holding import Holding, here, new_queue
from orchestrator.features.standalone.pages import SizePage
from orchestrator.features.standalone.session import Handle
from orchestrator.free_threading import refuse_free_threading

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]

T = TypeVar("T")


class Queue(Generic[T]):
    """Takes the place of `multiprocessing.Queue`; pass it as an argument of a `Process`.

    `maxsize` is the most items it holds, 0 or less for no bound; `ctx` is for compatibility. Works
    with every start method and from several threads. What differs: an item that cannot be pickled
    raises in `put`; `qsize` is exact everywhere; a process that is killed stalls nobody, and what
    was fetched ahead for it goes to the others. To return from `get` is an item's ack: it is not
    delivered again.

    What is put first after an idle spell has left when `put` returns. What follows closely leaves
    in chunks, the last of them within 1 ms, as soon as a thread can run, or when the process ends.
    A process that is killed or calls `os._exit` sooner loses that. A free-threaded Python
    is a UsageError.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:  # noqa: ARG002 -- see above
        refuse_free_threading()
        self._hold(new_queue(operator.index(maxsize)))

    def _hold(self, holding: Holding) -> None:
        self._holding = holding
        self._handle: Handle | None = None
        self._era: object = None
        self._closed = False
        weakref.finalize(self, holding.let_go).atexit = False

    def _attach(self) -> Handle:
        handle = self._holding.attach()
        if self._closed:
            handle.close()
        self._handle, self._era = handle, here.era
        return handle

    def _mine(self) -> Handle:
        handle = self._handle
        return handle if handle and self._era is here.era else self._attach()

    # -- travelling to a child --------------------------------------------------------------------

    def __getstate__(self) -> Any:
        """Only while a process is being started; raises RuntimeError otherwise."""
        context.assert_spawning(self)
        holding = self._holding
        token = reduction.DupFd(holding.token.fileno())
        sizes = reduction.DupFd(holding.sizes.fd)
        return holding.home, holding.name, holding.maxsize, token, sizes

    def __setstate__(self, state: Any) -> None:
        home, name, maxsize, *duplicates = state
        fd, page = (each.detach() for each in duplicates)
        for each in (fd, page):
            os.set_inheritable(each, False)
        self._hold(Holding(home, name, maxsize, socket.socket(fileno=fd), SizePage(page)))

    # -- the contract -----------------------------------------------------------------------------

    def put(self, obj: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; wait for room if there is none, `timeout` seconds at most.

        Raises queue.Full, ValueError after `close`, UnpicklableItemError, BrokerGoneError.
        """
        handle = self._handle
        if handle is None or self._era is not here.era:
            handle = self._attach()
        if not block and handle.is_surely_full():
            raise Full
        handle.put(obj, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """The next item; waits for it, `timeout` seconds at most.

        Raises queue.Empty, ValueError after `close`, whatever the item's own loading raises,
        BrokerGoneError.
        """
        handle = self._handle
        if handle is None or self._era is not here.era:
            handle = self._attach()
        if not block and handle.is_surely_empty():
            raise Empty
        item: T = handle.get(block, timeout)
        return item

    def put_nowait(self, obj: T) -> None:
        """`put(obj, block=False)`."""
        self.put(obj, block=False)

    def get_nowait(self) -> T:
        """`get(block=False)`."""
        return self.get(block=False)

    def qsize(self) -> int:
        """Items on the queue, in all processes: put, and not yet returned by `get`."""
        return self._mine().qsize()

    def empty(self) -> bool:
        """True if nothing is on the queue right now.

        Raises OSError after `close`, if this process has put something.
        """
        return self._mine().empty()

    def full(self) -> bool:
        """True if the queue holds `maxsize` items right now."""
        return self._mine().full()

    def fileno(self) -> int:
        """A descriptor that is readable when `get` would not wait: for select, epoll, asyncio.

        Only to be waited for: never read, written or closed. From now on this process fetches no
        item ahead. Raises ValueError after `close`, BrokerGoneError.
        """
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        self._mine()
        return self._holding.watch()

    @property
    def _reader(self) -> Queue[T]:
        """The reader that programs hand to `multiprocessing.connection.wait`: it has a `fileno`."""
        return self

    def close(self) -> None:
        """Put and get no more in this process; what was put is sent."""
        self._closed = True
        if self._handle is not None and self._era is here.era:
            self._handle.close()

    def join_thread(self) -> None:
        """For compatibility: `close` has already sent everything.

        Only after `close` (AssertionError).
        """
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """For compatibility: there is nothing that the end of a process would wait for."""


class JoinableQueue(Queue[T]):
    """Takes the place of `multiprocessing.JoinableQueue`."""

    def task_done(self) -> None:
        """One item that `get` returned has been worked on.

        Raises ValueError when called more often than items were put.
        """
        self._mine().task_done()

    def join(self) -> None:
        """Wait until `task_done` was called for every item put."""
        self._mine().join()


class SimpleQueue(Generic[T]):
    """Takes the place of `multiprocessing.SimpleQueue`: `put`, `get`, `empty`, `close`."""

    def __init__(self, *, ctx: Any = None) -> None:  # noqa: ARG002 -- for compatibility
        self._queue: Queue[T] = Queue()

    def put(self, obj: T) -> None:
        """Put an item; raises as `Queue.put`."""
        self._queue.put(obj)

    def get(self) -> T:
        """Wait for the next item, and return it; raises as `Queue.get`."""
        return self._queue.get()

    def empty(self) -> bool:
        """True if nothing is on the queue right now."""
        return self._queue.empty()

    def fileno(self) -> int:
        """See `Queue.fileno`."""
        return self._queue.fileno()

    @property
    def _reader(self) -> Queue[T]:
        return self._queue

    def close(self) -> None:
        """Put and get no more in this process."""
        self._queue.close()
