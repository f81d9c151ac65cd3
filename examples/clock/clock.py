"""Clocks that never stop by themselves, and a job that does."""

from __future__ import annotations

import signal
import time


def tick(seconds: float) -> None:
    """Print the time for ever."""
    while True:
        print(time.strftime("%H:%M:%S"))
        time.sleep(seconds)


def tick_stubbornly(seconds: float) -> None:
    """Print the time for ever, whoever asks to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tick(seconds)


def count(to: int) -> None:
    """Count, and be done."""
    print(*range(1, to + 1))
