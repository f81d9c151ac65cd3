"""The orchestrator's end of one worker's socket: it never blocks. Called in the parent."""

from __future__ import annotations

import os
import socket
from collections import deque
from itertools import islice

from orchestrator.core.events import Blob
from orchestrator.core.messages import FromWorker, ToWorker
from orchestrator.runtime import wire

__all__ = ["READ_SIZE", "Channel"]

READ_SIZE = 256 * 1024
_IOV_MAX = 512


class Channel:
    """Frames in and out of one non-blocking socket.

    `at_end`: the other side is gone. `blocked`: the socket has not taken all that is to be sent.
    `fds` are descriptors that came beside the first frame.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = wire.from_worker()
        self._out: deque[Blob] = deque()
        self._greeted = False
        self.blocked = False
        self.at_end = False
        self.fds: list[int] = []

    def read(self, buffer: memoryview) -> list[tuple[FromWorker, tuple[Blob, ...]]] | None:
        """The frames that one read completes, None if nothing is there; `buffer` is scratch space.

        Raises wire.FrameError.
        """
        try:
            data = self._receive(buffer)
        except BlockingIOError:
            return None
        except OSError:
            self.at_end = True
            return None
        if not data:
            self.at_end = True
            return None
        return self._reader.feed(data)

    def _receive(self, buffer: memoryview) -> memoryview:
        if self._greeted:
            return buffer[: self._sock.recv_into(buffer)]
        data, fds, _, _ = socket.recv_fds(self._sock, len(buffer), 4)
        self.fds += fds
        self._greeted = bool(data)
        return memoryview(data)

    def send(self, message: ToWorker, blobs: tuple[Blob, ...]) -> None:
        """Queue a frame; `flush` sends it."""
        self._out += wire.encode(message, blobs)

    def flush(self) -> bool:
        """Send what the socket takes; whether `blocked` has changed."""
        out, before = self._out, self.blocked
        try:
            while out:
                self._drop(self._sock.sendmsg(_first(out)))
        except BlockingIOError:
            pass
        except OSError:
            out.clear()  # its reader is gone; that it died comes by its pidfd
        self.blocked = bool(out)
        return self.blocked is not before

    def _drop(self, sent: int) -> None:
        out = self._out
        while out and sent >= len(out[0]):
            sent -= len(out.popleft())
        if sent:
            out[0] = memoryview(out[0])[sent:]

    def take_fd(self) -> int | None:
        """The first descriptor that came, now the caller's; others are closed."""
        fds, self.fds = self.fds, []
        for fd in fds[1:]:
            os.close(fd)
        return fds[0] if fds else None


def _first(out: deque[Blob]) -> list[Blob]:
    return list(out) if len(out) <= _IOV_MAX else list(islice(out, _IOV_MAX))
