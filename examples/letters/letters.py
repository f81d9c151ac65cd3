"""A process that writes letters to a queue and one that reads them.

`python letters.py` runs them with nothing but the standard library; mporch runs the same functions.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue

LETTERS = "ABC"


def write(q: Queue[str]) -> None:
    """Put each letter on the queue."""
    for letter in LETTERS:
        q.put(letter)
        print("wrote", letter)


def read(q: Queue[str]) -> None:
    """Get as many letters as there are."""
    for _ in LETTERS:
        print("read", q.get())


if __name__ == "__main__":
    mailbox: Queue[str] = multiprocessing.Queue(3)
    processes = [multiprocessing.Process(target=job, args=(mailbox,)) for job in (write, read)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
