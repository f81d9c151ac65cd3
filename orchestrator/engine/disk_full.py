"""Writes the files of a run; while their disk is full, everything waits. Called in the parent.

Nothing is sent to a worker meanwhile, so all of them wait too, and nothing is lost. The kernel does
not tell when there is room again: the write is tried every second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.core.protocol.notifications import DiskFull, DiskHasRoom, Notification
from orchestrator.engine.observer import Observer
from orchestrator.errors import DiskFullError

__all__ = ["Disk"]

_RETRY_S = 1.0


class Disk:
    """Lets writes wait for room, at most `patience_s`, or until `pause` tells of a signal.

    `pause` waits for so many seconds, and returns whether the run is told to end meanwhile.
    """

    def __init__(
        self, observer: Observer, pause: Callable[[float], bool], *, patience_s: float = 60.0
    ) -> None:
        self._observer = observer
        self._pause = pause
        self._patience_s = patience_s

    def write(self, act: Callable[[], None], again: Callable[[], None] | None = None) -> None:
        """Do a write; while it raises DiskFullError do it again, or `again` if that is given.

        Raises DiskFullError when there is no room for too long or the run is told to end, and what
        else a write raises.
        """
        try:
            act()
        except DiskFullError as error:
            self._wait(error, again or act)

    def _wait(self, error: DiskFullError, again: Callable[[], None]) -> None:
        began = time.monotonic()
        self._tell(DiskFull(reason=str(error), timeout_s=self._patience_s), began)
        while time.monotonic() < began + self._patience_s and not self._pause(_RETRY_S):
            try:
                again()
            except DiskFullError as still:
                error = still
            else:
                now = time.monotonic()
                self._tell(DiskHasRoom(waited_s=now - began), now)
                return
        raise error

    def _tell(self, notification: Notification, now: float) -> None:
        with suppress(DiskFullError):
            self._observer.notify(notification, now)
            self._observer.flush()
