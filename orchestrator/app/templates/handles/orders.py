"""Functions that get and put by themselves, as with a multiprocessing.Queue.

No sentinel is needed: when all who write to a queue have finished and it is empty, `get` raises
EndOfStream (a queue.Empty), which ends the job as a success.
"""

from __future__ import annotations

from multiprocessing.queues import Queue
from pathlib import Path

Order = tuple[str, int]


def take(orders: Queue[Order]) -> None:
    """Put some orders on the queue."""
    for number in range(20):
        orders.put((f"order {number}", number % 5))


def check(orders: Queue[Order], good: Queue[Order], bad: Queue[Order]) -> None:
    """Send each order one way or the other."""
    while True:
        what, pieces = orders.get()
        (good if pieces else bad).put((what, pieces))


def pack(path: str, orders: Queue[Order]) -> None:
    """Write down what is sent."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w") as file:
        while True:
            what, pieces = orders.get()
            print(f"{what}: {pieces}", file=file)


def complain(orders: Queue[Order]) -> None:
    """Print what cannot be sent."""
    while True:
        what, _ = orders.get()
        print(f"{what}: nothing was ordered")
