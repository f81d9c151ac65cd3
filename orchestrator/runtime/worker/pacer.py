"""The pacer: a thread that keeps a worker's promises while the target has the main thread.

What is put is on its way within 5 ms, finished items are committed, recalls are answered and unused
credits returned, even if the target computes or sleeps for an hour. It sleeps while nothing is
unsent, so that a worker that sends for itself never meets it. Called in the child.
"""

from __future__ import annotations

import threading
import time

from orchestrator.runtime.worker.client import Client
from orchestrator.runtime.worker.giving_up import FencedError
from orchestrator.runtime.worker.link import LinkClosedError

__all__ = ["Pacer"]

TICK_S = 0.005
_CREDIT_TICKS = 10
_IDLE_TICKS = 2 * _CREDIT_TICKS
"""When nothing has happened for so long the pacer sleeps; by then all credits are given back."""
_QUIET_TICKS = 2
"""After so many ticks on one item the pacer reads the socket; sooner it would be in the way."""


class Pacer:
    """The thread and its alarm clock."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._asleep = False
        self._ticks = 0
        self._seen = 0
        self._quiet = 0

    def start(self, client: Client) -> None:
        """Begin to watch over a client, in a daemon thread."""
        self._client = client
        threading.Thread(target=self._run, name="mporch-pacer", daemon=True).start()

    def arm(self) -> None:
        """Something is unsent (lock held): wake up if asleep."""
        if self._asleep and self._client is not None:
            self._asleep = False
            self._client.link.wake()

    def _run(self) -> None:
        try:
            idle = 0
            while True:
                idle = self._step(idle)
        except (LinkClosedError, FencedError):
            return  # the main thread meets the same error and ends the worker

    def _step(self, idle: int) -> int:
        client = self._client
        assert client is not None
        with client.lock:
            client.link.hush()
            if not client.reading:
                client.take_in()
            busy = client.tick(time.monotonic(), TICK_S)
            progress = client.progress
            moved, self._seen = progress != self._seen, progress
            self._quiet = 0 if moved else self._quiet + 1
            idle = 0 if busy or moved else idle + 1
            self._ticks += 1
            if self._ticks % _CREDIT_TICKS == 0:
                client.return_credits()
            self._asleep = asleep = idle >= _IDLE_TICKS
            client.attention = client.attention or asleep
            if self._quiet >= _QUIET_TICKS and not client.reading:
                client.read(None if asleep else TICK_S, yielding=True)
                return idle
        client.link.sleep(None if asleep else TICK_S)
        return idle
