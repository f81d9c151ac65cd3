"""The few calls of the kernel and the C library that Python does not wrap. Linux."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "BIG_PIPE",
    "FIRST_PRIVATE_FD",
    "SMALL_PIPE",
    "become_subreaper",
    "bounded",
    "enter_new_pid_namespace",
    "keep_freed_memory",
    "line_buffer_c_stdio",
    "low_numbers_taken",
    "name_process",
    "resize_pipe",
    "set_parent_death_signal",
    "tie_to",
]

FIRST_PRIVATE_FD = 10
"""Our own descriptors lie from here on: a target that closes 1 and 2 and opens files gets low
numbers, and must not get ours."""

SMALL_PIPE, BIG_PIPE = 4096, 1 << 20
"""Bytes that a pipe holds: the least, which a user may have 16,384 of, and the most."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_IOLBF = 1
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MOST_ON_HEAP = 32 << 20
"""As much as any glibc takes; larger chunks are mapped in any case (`wire.py`)."""
_MOST_KEPT = 64 << 20
_MOST_COMM = 15
_ARG_START = 45
"""Of the fields of /proc/self/stat after the name; the next one is where the arguments end."""


def set_parent_death_signal(signum: int) -> bool:
    """Have the kernel send `signum` to this process when the thread that made it ends.

    A parent that is dead already sends nothing: compare `os.getppid()` after the call. The setting
    is lost in a forked child. Returns whether the kernel took it.
    """
    return _prctl(_PR_SET_PDEATHSIG, signum)


def tie_to(parent: int) -> Callable[[], None]:
    """Return what a forked child calls, before it becomes another program, to die with `parent`.

    Everything is looked up here: the child of a process with threads must take no lock.
    """
    if sys.platform != "linux":
        return lambda: None
    import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

    prctl, signum = ctypes.CDLL(None).prctl, ctypes.c_ulong(signal.SIGKILL)

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def become_subreaper() -> bool:
    """Make this process the parent of all descendants whose own parent dies, daemons included.

    Not inherited by children. Returns whether the kernel took it.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def enter_new_pid_namespace() -> bool:
    """Have the next child of this process be the first in a namespace of pids of its own.

    This process moves to a user namespace of its own for it, in which it has no name: it is one
    that was forked for the purpose. Returns whether the kernel took it.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

    return bool(ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWPID) == 0)


def line_buffer_c_stdio() -> None:
    """Called in the child. Make C's stdout and stderr write each line at once.

    Into a pipe the C library writes blocks of 4 KiB, and what it still holds at a SIGKILL is lost.
    """
    import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

    libc = ctypes.CDLL(None)
    names = ("__stdoutp", "__stderrp") if sys.platform == "darwin" else ("stdout", "stderr")
    for name in names:
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, _IOLBF, ctypes.c_size_t(0))


def keep_freed_memory() -> None:
    """Have malloc keep large blocks that are freed, at most 64 MiB, for those that come next.

    glibc else maps and unmaps each, which is most of what an item of a megabyte costs. For a
    process of ours only: the setting is for all of its life. Without glibc nothing happens.
    """
    import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MOST_ON_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


def resize_pipe(fd: int, n: int) -> None:
    """Have a pipe hold `n` bytes; it keeps its size if it holds more now, or the user too many."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, n)


def name_process(name: str) -> None:
    """Called in the child. Have ps(1) and top(1) show this process by that name.

    The kernel's name of it takes 15 bytes. Its command line is memory of its own, which is written
    over as far as it goes: no right is needed for that, and children inherit it as it is then.
    """
    title = name.encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError, ValueError, IndexError):
        Path("/proc/self/comm").write_bytes(title[:_MOST_COMM])
        stat = Path("/proc/self/stat").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()
        begin, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
        if 0 < begin < end:
            import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

            ctypes.memmove(begin, title[: end - begin - 1].ljust(end - begin, b"\0"), end - begin)


def _prctl(option: int, argument: int) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 -- costs 5 ms, which most processes need not pay

    libc = ctypes.CDLL(None)
    return bool(libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) == 0)


_LONGEST_S = 86_400.0


def bounded(timeout_s: float | None) -> float | None:
    """Return so many seconds, or a day if it is longer: who waits looks at the clock again."""
    return None if timeout_s is None else min(max(0.0, timeout_s), _LONGEST_S)


@contextlib.contextmanager
def low_numbers_taken() -> Iterator[None]:
    """Have what is opened meanwhile lie out of a target's way: a mapping keeps a duplicate."""
    taken: list[int] = []
    try:
        while not taken or taken[-1] < FIRST_PRIVATE_FD:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
