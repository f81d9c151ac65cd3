"""What a queue of three does when it is full, and when it is empty."""

from __future__ import annotations

import queue
import time
from multiprocessing.queues import Queue


def fill(mailbox: Queue[int]) -> None:
    """Put three items, then try to put a fourth."""
    for number in (1, 2, 3):
        print(f"put {number}, full before: {mailbox.full()}")
        mailbox.put(number)
    print(f"full: {mailbox.full()}, qsize: {mailbox.qsize()}")
    started = time.monotonic()
    try:
        mailbox.put(4, timeout=2)
    except queue.Full:
        print(f"put(4, timeout=2): Full after {time.monotonic() - started:.1f} s")
    started = time.monotonic()
    try:
        mailbox.put_nowait(4)
    except queue.Full:
        print(f"put_nowait(4): Full after {time.monotonic() - started:.1f} s")


def drain(mailbox: Queue[int]) -> None:
    """Get what is there without waiting for more."""
    try:
        while True:
            print(f"got {mailbox.get_nowait()}, qsize: {mailbox.qsize()}")
    except queue.Empty:
        print("get_nowait(): Empty")
