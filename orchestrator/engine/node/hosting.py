"""Clock and signals for the loop of a node's host, in its main thread.

A laptop's lid or SIGSTOP must not make every deadline due at once.
"""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["LoopClock", "caught_signals"]

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH)

_TOO_LONG_S = 1.0
_LONGEST_WAIT_S = 1.0
"""A longer wait, with a deadline at its end, could not be told from one in which it was stopped."""


class LoopClock:
    """Monotonic seconds; a gap of a second more than was planned between two looks is left out."""

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._planned_s = 0.0
        self._last = time.monotonic()

    def now(self) -> float:
        """The loop's time."""
        last, self._last = self._last, time.monotonic()
        if self._last - last > self._planned_s + _TOO_LONG_S:
            self._lost_s += self._last - last
        self._planned_s = 0.0
        return self._last - self._lost_s

    def plan_wait(self, timeout_s: float | None) -> float | None:
        """Return the longest wait, right after `now`, if something is due in `timeout_s`."""
        if timeout_s is None:
            self._planned_s = math.inf
            return None
        self._planned_s = min(timeout_s, _LONGEST_WAIT_S)
        return self._planned_s

    def of(self, monotonic_s: float) -> float:
        """A point of monotonic time as the loop's time."""
        return monotonic_s - self._lost_s


def _ignore(_signum: int, _frame: FrameType | None) -> None:
    """The wakeup descriptor tells; a handler must merely exist."""


@contextlib.contextmanager
def caught_signals() -> Iterator[socket.socket]:
    """While entered, each signal arrives as one byte, its number, on the socket.

    A signal that is ignored (by nohup, say) stays so. In the main thread only.
    """
    read_end, write_end = socket.socketpair()
    read_end.setblocking(False)
    write_end.setblocking(False)
    before = {}
    for signum in _CAUGHT:
        handler = signal.getsignal(signum)
        if handler is not signal.SIG_IGN or signum == signal.SIGCHLD:
            before[signum] = signal.signal(signum, _ignore)
    wakeup = signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
    try:
        yield read_end
    finally:
        signal.set_wakeup_fd(wakeup)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        read_end.close()
        write_end.close()
