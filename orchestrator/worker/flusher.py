"""The flusher: a thread that keeps a worker's promises while the target has the main thread.

What is put is on its way within 1 ms, finished items are committed, recalls are answered and unused
credits returned, even if the target computes or sleeps for an hour. It sleeps while nothing is
unsent, so that a worker that sends for itself never meets it. Called in the child.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from orchestrator.core.protocol.messages import Failure
from orchestrator.kernel.limits import in_words
from orchestrator.worker.client import Client
from orchestrator.worker.errors import FencedError, LinkClosedError
from orchestrator.worker.target import TargetFailedError

__all__ = ["Flusher"]

Tick = Callable[[float, float], bool]
"""See `Commits.tick`."""

TICK_S = 0.005
_GLANCE_S = 0.0009
"""The pace while something is put, which leaves with the next glance."""
_GLANCES = 5
"""So many take as long as a tick."""
_CALM = 6
"""After so many glances at which nothing has moved the flusher ticks as slowly as usual."""
_CREDIT_TICKS = 10
_IDLE_TICKS = 2 * _CREDIT_TICKS
"""When nothing has happened for so long the flusher sleeps; by then all credits are given back."""
_QUIET_TICKS = 2
"""After so many ticks on one item the flusher reads the socket; sooner it would be in the way."""


class Flusher:
    """The thread and its alarm clock.

    It glances while things are put, ticks while the target works, and else is asleep.
    """

    def __init__(self) -> None:
        self._client: Client | None = None
        self._tick: Tick = lambda *_: False
        self._at_end: Callable[[], None] = lambda: None
        self._asleep = self._hurried = False
        self._ticks = self._glances = self._calm = 0
        self._seen = self._glanced = (0, 0)
        self._quiet = 0
        self._nap = threading.Lock()
        self._nap.acquire()  # for good: to wait for it is to nap, more exactly than a poll can

    def start(
        self, client: Client, *, tick: Tick | None = None, at_end: Callable[[], None] = lambda: None
    ) -> None:
        """Begin to watch over a client, in a daemon thread.

        `tick` is called in the place of the commits' own; `at_end` when the connection has ended,
        and the client is let go. Raises TargetFailedError if the system allows no more threads.
        """
        self._client = client
        self._tick = tick or client.commits.tick
        self._at_end = at_end
        try:
            threading.Thread(target=self._run, name="mporch-flusher", daemon=True).start()
        except RuntimeError as error:
            message = f"{error}: {in_words(errno.EAGAIN)}"
            failure = Failure(kind=type(error).__name__, message=message)
            raise TargetFailedError(failure) from None

    def arm(self) -> None:
        """Something is unsent (lock held): wake up if asleep."""
        if self._asleep and (client := self._client) is not None:
            self._asleep = False
            client.connection.link.wake()

    def hurry(self) -> None:
        """Something is put that others may wait for (lock held): send it soon."""
        if not self._hurried and (client := self._client) is not None:
            self._hurried, self._asleep, self._calm = True, False, 0
            client.connection.link.wake()

    def _run(self) -> None:
        client = self._client
        assert client is not None
        with contextlib.suppress(LinkClosedError, FencedError):
            self._watch(client)  # the main thread meets the same error and ends the worker
        self._at_end()
        # No circle of references may keep the descriptors of a connection that has ended.
        self._client, self._tick, self._at_end = None, lambda *_: False, lambda: None

    def _watch(self, client: Client) -> NoReturn:
        idle = 0
        while True:
            if self._hurried and self._glances < _GLANCES:
                self._glances += 1
                self._glance(client)
            else:
                self._glances = 0
                idle = self._step(client, idle)

    def _glance(self, client: Client) -> None:
        """Nap, and send what was put before. Whoever has the lock is at it: he is not disturbed."""
        self._nap.acquire(timeout=_GLANCE_S)
        connection, commits = client.connection, client.commits
        if not connection.lock.acquire(blocking=False):
            return
        try:
            sparse = commits.is_sparse
            self._tick(time.monotonic(), 0.0)
            if sparse:
                commits.be_prompt()
            before, self._glanced = self._glanced, (client.progress, commits.seq)
            if self._glanced != before or client.acks.unsent_since:
                self._calm = 0
                return
            commits.be_prompt()
            self._calm += 1
            self._hurried = self._calm < _CALM
            connection.attention = connection.attention or not self._hurried
        finally:
            connection.lock.release()

    def _step(self, client: Client, idle: int) -> int:
        connection, commits = client.connection, client.commits
        with connection.lock:
            connection.link.hush()
            if not connection.reading:
                connection.take_in()
            busy = self._tick(time.monotonic(), TICK_S)
            seen, self._seen = self._seen, (client.progress, commits.seq)
            self._quiet = 0 if seen[0] != self._seen[0] else self._quiet + 1
            idle = 0 if busy or seen != self._seen or self._hurried else idle + 1
            self._ticks += 1
            if self._ticks % _CREDIT_TICKS == 0:
                commits.return_credits()
            if idle:
                commits.be_prompt()
            if self._hurried:
                return idle
            self._asleep = asleep = idle >= _IDLE_TICKS
            connection.attention = connection.attention or asleep
            if self._quiet >= _QUIET_TICKS and not connection.reading:
                connection.read(None if asleep else TICK_S, yielding=True)
                return idle
        connection.link.sleep(None if asleep else TICK_S)
        return idle
