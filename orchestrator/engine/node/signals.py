"""Signals as something to read, like everything else the loop waits for. Called in the parent."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType

__all__ = ["caught_signals"]

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH)


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
