"""The stop signal: an exception in the target, never in the middle of a frame.

Called in the child.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from orchestrator.runtime.worker.client import Client

__all__ = ["StopRequested", "StopSignal"]


class StopRequested(SystemExit):
    """Raised in the main thread by the job's stop signal, so that `finally` and `__exit__` run."""


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class StopSignal:
    """Turns the stop signal into StopRequested once mporch's own code is not in the middle of it.

    `requested` says that the signal, number `signum`, has come.
    """

    def __init__(self, signum: int, client: Client) -> None:
        self.requested = False
        self.signum = signum
        self._client = client
        self._raised = self._retired = False

    def install(self) -> None:
        """From now on the signal stops the target, unless the target installs a handler itself."""
        self._client.on_release = self.check
        signal.signal(self.signum, self._on_signal)

    def retire(self) -> None:
        """The target has ended: nothing is left to raise it in, the rest has the grace anyway."""
        self._retired = True

    def disown(self, refuse: Callable[[], None]) -> None:
        """Called in a process the target has forked: signals are its own, `check` refuses."""
        if signal.getsignal(self.signum) == self._on_signal:
            signal.signal(self.signum, signal.SIG_DFL)
        self.requested = self._client.attention = True
        self.check = refuse  # type: ignore[method-assign]

    def check(self) -> None:
        """Raise what came while mporch was busy."""
        if self.requested and not (self._raised or self._retired) and _in_main_thread():
            self._raised = True
            raise StopRequested(128 + self.signum)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.requested = self._client.signalled = self._client.attention = True
        if not self._client.busy_here():
            self.check()
