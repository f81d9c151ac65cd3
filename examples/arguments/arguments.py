"""How arguments, names and pids arrive."""

from __future__ import annotations

import multiprocessing
import os


def show(*args: object, **kwargs: object) -> None:
    """Print each argument with its type."""
    introduce()
    for value in args:
        print(f"{value!r} is a {type(value).__name__}")
    for name, value in kwargs.items():
        print(f"{name}={value!r} is a {type(value).__name__}")


def introduce() -> None:
    """Print the name and pid of this process."""
    print(f"I am {multiprocessing.current_process().name}, pid {os.getpid()}")


def family() -> None:
    """Start two processes of one's own: one gets a name, one takes the default."""
    introduce()
    for name in ("helper", None):
        child = multiprocessing.Process(target=introduce, name=name)
        child.start()
        child.join()
