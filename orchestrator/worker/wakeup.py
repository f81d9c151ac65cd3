"""A wakeup: a pipe with which one thread ends the wait of another.

Called in the child. A target may close descriptors that are not its own, and what it opens next
gets their numbers: so before the pipe is used it is looked at whether it is still there, lest
something be written into the user's own file, read from it, or that file be closed. Not compiled:
a compiled object has no weak references, and its end closes the rope.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref

__all__ = ["Wakeup"]


class Wakeup:
    """`fd` is readable from a `ring` on until somebody calls `hush`.

    Every method raises OSError when the descriptor is not the wakeup's any more.
    """

    def __init__(self) -> None:
        self.fd, self._rope = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._inode = _inode(self.fd)
        weakref.finalize(self, _close, self._rope, self._inode).atexit = False

    def ring(self) -> None:
        """Wake who polls now, or next."""
        _check(self._rope, self._inode)
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._rope, b"!")  # else it is full of rings, or nobody will poll any more

    def hush(self) -> None:
        """Forget earlier rings."""
        _check(self.fd, self._inode)
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def close(self) -> None:
        """Nobody polls any more; it may still be rung while this object lives."""
        _close(self.fd, self._inode)


def _inode(fd: int) -> tuple[int, int]:
    """Identify an open file, whatever its number; both ends of a pipe are the same."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _check(fd: int, inode: tuple[int, int]) -> None:
    if _inode(fd) != inode:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _close(fd: int, inode: tuple[int, int]) -> None:
    with contextlib.suppress(OSError):
        _check(fd, inode)
        os.close(fd)
