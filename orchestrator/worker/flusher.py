"""The flusher: a thread that keeps a worker's promises while the target has the main thread.

What is put is on its way within 1 ms, finished items are committed, recalls are answered and unused
credits returned, even if the target computes or sleeps for an hour. It sleeps while nothing is
unsent, so that a worker that sends for itself never meets it. Called in the child.
"""

from __future__ import annotations

import errno
import threading
import time

from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.limits import in_words
from orchestrator.worker.client import Client
from orchestrator.worker.errors import FencedError
from orchestrator.worker.link import LinkClosedError
from orchestrator.worker.target import TargetFailedError

__all__ = ["Flusher"]

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
        self._asleep = self._hurried = False
        self._ticks = self._glances = self._calm = 0
        self._seen = self._glanced = (0, 0)
        self._quiet = 0
        self._nap = threading.Lock()
        self._nap.acquire()  # for good: to wait for it is to nap, more exactly than a poll can

    def start(self, client: Client) -> None:
        """Begin to watch over a client, in a daemon thread.

        Raises TargetFailedError if the system allows no more threads.
        """
        self._client = client
        try:
            threading.Thread(target=self._run, name="mporch-flusher", daemon=True).start()
        except RuntimeError as error:
            message = f"{error}: {in_words(errno.EAGAIN)}"
            failure = Failure(kind=type(error).__name__, message=message)
            raise TargetFailedError(failure) from None

    def arm(self) -> None:
        """Something is unsent (lock held): wake up if asleep."""
        if self._asleep and self._client is not None:
            self._asleep = False
            self._client.link.wake()

    def hurry(self) -> None:
        """Something is put that others may wait for (lock held): send it soon."""
        if not self._hurried and self._client is not None:
            self._hurried, self._asleep, self._calm = True, False, 0
            self._client.link.wake()

    def _run(self) -> None:
        client = self._client
        assert client is not None
        try:
            idle = 0
            while True:
                if self._hurried and self._glances < _GLANCES:
                    self._glances += 1
                    self._glance(client)
                else:
                    self._glances = 0
                    idle = self._step(client, idle)
        except (LinkClosedError, FencedError):
            return  # the main thread meets the same error and ends the worker

    def _glance(self, client: Client) -> None:
        """Nap, and send what was put before. Whoever has the lock is at it: he is not disturbed."""
        self._nap.acquire(timeout=_GLANCE_S)
        if not client.lock.acquire(blocking=False):
            return
        try:
            sparse = client.is_sparse
            client.tick(time.monotonic(), 0.0)
            if sparse:
                client.be_prompt()
            before, self._glanced = self._glanced, (client.progress, client.commits)
            if self._glanced != before or client.unsent_since:
                self._calm = 0
                return
            client.be_prompt()
            self._calm += 1
            self._hurried = self._calm < _CALM
            client.attention = client.attention or not self._hurried
        finally:
            client.lock.release()

    def _step(self, client: Client, idle: int) -> int:
        with client.lock:
            client.link.hush()
            if not client.reading:
                client.take_in()
            busy = client.tick(time.monotonic(), TICK_S)
            seen, self._seen = self._seen, (client.progress, client.commits)
            self._quiet = 0 if seen[0] != self._seen[0] else self._quiet + 1
            idle = 0 if busy or seen != self._seen or self._hurried else idle + 1
            self._ticks += 1
            if self._ticks % _CREDIT_TICKS == 0:
                client.return_credits()
            if idle:
                client.be_prompt()
            if self._hurried:
                return idle
            self._asleep = asleep = idle >= _IDLE_TICKS
            client.attention = client.attention or asleep
            if self._quiet >= _QUIET_TICKS and not client.reading:
                client.read(None if asleep else TICK_S, yielding=True)
                return idle
        client.link.sleep(None if asleep else TICK_S)
        return idle
