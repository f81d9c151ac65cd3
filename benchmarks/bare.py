"""Starts and joins N bare processes by the forkserver, prints the seconds each: for `thousand`."""

import multiprocessing
import sys
import time


def nothing() -> None:
    """The target."""


if __name__ == "__main__":
    n = int(sys.argv[1])
    context = multiprocessing.get_context("forkserver")
    started = time.monotonic()
    processes = [context.Process(target=nothing) for _ in range(n)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print((time.monotonic() - started) / n)
