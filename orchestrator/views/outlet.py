"""Writes to standard output and error without ever waiting for their readers.

The loop that runs the pipeline draws the screen too; a pager that nobody scrolls, or a terminal
stopped with Ctrl-S, must not stop it.
"""

from __future__ import annotations

import errno
import os
import select
import stat

__all__ = ["Outlet"]

_PIECE_BYTES = 4096  # a pipe that polls writable takes this much without blocking (PIPE_BUF)
_TERMINAL_PIECE_BYTES = 1024
_BACKED_UP_BYTES = 256 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_READER_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})


class Outlet:
    """A file descriptor, and what is still to be written to it.

    A reader that has gone closes it for good, and so does a disk without room: what is written
    later is discarded. `lost` counts the writes that were discarded because too much was pending;
    `refusal` is what the system said to a write, if a reader's leaving was not the reason.
    """

    def __init__(self, fd: int) -> None:
        """Use `fd`, which stays open and is not changed."""
        self.fd = fd
        self._pending = bytearray()
        self._gone = False
        self.lost = 0
        self.refusal = ""
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            self._gone, mode = True, 0
        self.is_terminal = not self._gone and os.isatty(fd)
        self._never_blocks = stat.S_ISREG(mode)
        self._piece = _TERMINAL_PIECE_BYTES if self.is_terminal else _PIECE_BYTES
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    @property
    def backed_up(self) -> bool:
        """True if so much is pending that whoever produces it should pause."""
        return len(self._pending) > _BACKED_UP_BYTES

    @property
    def pending(self) -> int:
        """Return how many bytes are still to be written."""
        return len(self._pending)

    def write(self, text: str) -> None:
        """Write `text`, now as far as that needs no waiting, else later."""
        self.put(text)
        self.pump()

    def put(self, text: str) -> None:
        """Take `text`, to be written by the next `pump`."""
        if self._gone:
            return
        if len(self._pending) > _MOST_BYTES:
            self.lost += 1
        else:
            self._pending += _encode(text)

    def pump(self) -> None:
        """Write what is pending, as far as that needs no waiting."""
        while self._pending and (self._never_blocks or self._poll.poll(0)):
            if not self._write_piece():
                return

    def close(self) -> None:
        """Write the rest; waits for the reader, who may be a person at a pager."""
        while self._pending and not self._gone:
            if not self._write_piece():
                return

    def _write_piece(self) -> bool:
        size = len(self._pending) if self._never_blocks else self._piece
        try:
            done = os.write(self.fd, bytes(self._pending[:size]))
        except BlockingIOError:  # somebody else has made it non-blocking
            self._poll.poll(None)
            return True
        except OSError as error:
            self._gone = True
            self._pending.clear()
            if error.errno not in _READER_GONE:
                self.refusal = error.strerror or "it cannot be written"
            return False
        del self._pending[:done]
        return True


def _encode(text: str) -> bytes:
    """Encode for the screen: bytes that were no UTF-8 when they were read come out as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")
