"""The connection of a worker: one link for all its threads, and the lock that guards its state.

Called in the child. The lock is given up while waiting; threads that wait take turns at reading the
socket, and whoever reads acts on what came for all.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import FromWorker, ToWorker, Wait
from orchestrator.worker.errors import LinkClosedError

__all__ = ["AnyLink", "Connection"]

Act = Callable[[ToWorker, tuple[Blob, ...]], None]


class AnyLink(Protocol):
    """What a connection needs of its link (`link.py`): a compiled class would take no other."""

    def queue(self, message: FromWorker, blobs: tuple[Blob, ...] = ()) -> None:
        """See Link."""

    def flush(self) -> None:
        """See Link."""

    def receive(self) -> list[tuple[ToWorker, tuple[Blob, ...]]]:
        """See Link."""

    def wait(self, timeout_s: float | None, *, yielding: bool = False) -> None:
        """See Link."""

    def sleep(self, timeout_s: float | None) -> None:
        """See Link."""

    def wake(self) -> None:
        """See Link."""

    def hush(self) -> None:
        """See Link."""

    def close(self) -> None:
        """See Link."""


class Connection:
    """Sends messages and requests, finds each request its answer; every method needs the lock.

    `act` does what a message says; `take_back` undoes what an answer brought that nobody waits for
    any more. `sees_stalls`: the broker looks whether everybody waits for ever.
    """

    def __init__(
        self,
        link: AnyLink,
        *,
        act: Act,
        take_back: Callable[[ToWorker], None],
        sees_stalls: bool = True,
    ) -> None:
        self.link = link
        self.lock = threading.RLock()
        self.on_release: Callable[[], None] = lambda: None
        self.waited_s = 0.0
        """Seconds that threads have waited for answers, in all."""
        self.activity = 0
        """Another number whenever something was asked for, or credit has come."""
        self.signalled = False
        """The stop signal has come, maybe while the lock was held; who gives it up without having
        waited for anything then calls `check_signals`."""
        self.taking = False
        """The main thread is about to hand out an item of a stream, without the lock."""
        self.attention = False
        """Whoever works through items without the lock is to take it before the next one."""
        self._act = act
        self._take_back = take_back
        self._sees_stalls = sees_stalls
        self._turn = threading.Condition(self.lock)
        self._replies: dict[int, ToWorker] = {}
        self._given_up: set[int] = set()
        self._numbers = 0
        self._reading = self._yielding = False
        self._waiting = 0
        self._threads = threading.active_count()

    def busy_here(self) -> bool:
        """True if the calling thread is in the middle of something that must not be torn apart."""
        return self.taking or self._turn._is_owned()  # type: ignore[attr-defined]

    def check_signals(self) -> None:
        """Do what a signal has asked for while the lock was held; raises what that raises."""
        if not self.busy_here():
            self.on_release()

    @property
    def reading(self) -> bool:
        """True if a thread is waiting at the socket."""
        return self._reading

    def send(self, message: FromWorker) -> None:
        """Send a message at once."""
        self.link.queue(message)
        self.link.flush()

    def close(self) -> None:
        """Close the link; nobody is told anything any more."""
        self.link.close()
        # No circle of references may keep the descriptors of what is closed.
        self._act, self._take_back = lambda *_: None, lambda _: None

    # -- requests ---------------------------------------------------------------------------------

    def number(self) -> int:
        """A fresh number for a request."""
        self._numbers += 1
        return self._numbers

    def request(
        self,
        number: int,
        request: FromWorker,
        withdrawal: Callable[[int], FromWorker],
        deadline: float | None,
        *,
        unless: Callable[[], bool] | None = None,
        blobs: tuple[Blob, ...] = (),
    ) -> ToWorker:
        """The answer to a request that is withdrawn when it is late, interrupted, or pointless.

        A request that was withdrawn is answered, too: what was on its way is never lost.
        """
        self.link.queue(request, blobs)
        try:
            reply = self.reply(number, deadline, unless)
            if reply is None:
                self.link.queue(withdrawal(number))
                reply = self.reply(number, None)
        except BaseException:
            self._give_up(number, withdrawal(number))
            raise
        assert reply is not None
        return reply

    def reply(
        self, number: int, deadline: float | None, unless: Callable[[], bool] | None = None
    ) -> ToWorker | None:
        """Send what is queued, and wait for the answer to that number; None when time is up.

        The wait also ends when `unless` comes true through another thread.
        """
        self.activity += 1
        self.link.flush()
        replies, started = self._replies, time.monotonic()
        while number not in replies and not (unless is not None and unless()):
            if deadline is None and not self._reading:
                self.read(None)
            elif not self._wait_once(deadline):
                break
        self.waited_s += time.monotonic() - started
        return replies.pop(number, None)

    def _give_up(self, number: int, withdrawal: FromWorker) -> None:
        self._given_up.add(number)
        if (reply := self._replies.pop(number, None)) is not None:
            self.answer(number, reply)
        with contextlib.suppress(LinkClosedError):
            self.send(withdrawal)

    def answer(self, number: int, reply: ToWorker) -> None:
        """An answer has come: keep it for who asked, or return what it brings."""
        if number in self._given_up:
            self._given_up.discard(number)
            self._take_back(reply)
        else:
            self._replies[number] = reply

    def patience(self, wait: Wait) -> Wait:
        """A wait is for ever only if no other thread of the target could end it."""
        if not self._sees_stalls:
            return wait
        if wait is Wait.FOREVER and threading.active_count() > self._threads + 1:
            return Wait.TIMED
        return wait

    # -- waiting and reading ----------------------------------------------------------------------

    def park(self) -> NoReturn:
        """Never return, and leave the lock to the others."""
        while True:
            self._turn.wait()

    def wait_for_others(self, timeout_s: float | None) -> None:
        """Leave the lock to the other threads until one of them calls `wake_others`."""
        self._turn.wait(timeout_s)

    def wake_others(self) -> None:
        """Something has changed that other threads may wait for."""
        self._turn.notify_all()

    def wait_until(self, is_there: Callable[[], bool]) -> None:
        """Wait for what a message, of whoever reads it, makes true."""
        started = time.monotonic()
        while not is_there():
            self._wait_once(None)
        self.waited_s += time.monotonic() - started

    def _wait_once(self, deadline: float | None) -> bool:
        """Wait for anything to come; False if the deadline has passed already."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        if not self._reading:
            self.read(left)
            return True
        if self._yielding:
            self.link.wake()
        self._waiting += 1
        try:
            self._turn.wait(left)
        finally:
            self._waiting -= 1
        return True

    def read(self, timeout_s: float | None, *, yielding: bool = False) -> None:
        """Wait for frames, the lock given up meanwhile, and take them in.

        A `yielding` reader leaves the socket to the next thread that waits for an answer.
        """
        self._reading = True
        self._yielding = yielding
        try:
            self.lock.release()
            try:
                self.on_release()  # a signal that came while the lock was held must not wait, too
                self.link.wait(timeout_s, yielding=yielding)
            finally:
                self.lock.acquire()
        finally:
            self._reading = False
            # The next reader is one of those that wait; each looks first for its own answer.
            if self._waiting:
                self._turn.notify_all()
        self.take_in()

    def take_in(self) -> None:
        """Act on the frames that have arrived."""
        for message, blobs in self.link.receive():
            self._act(message, blobs)
