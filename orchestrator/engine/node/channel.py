"""The orchestrator's end of one worker's socket: it never blocks. Called in the parent."""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import FromWorker, ToWorker
from orchestrator.ipc import wire

__all__ = ["READ_SIZE", "Channel"]

READ_SIZE = 256 * 1024
_IOV_MAX = 512
_MOST_UNSENT = 1 << 16
"""Buffers: an answer is one, a chunk of a lease too. The socket holds some hundreds more."""


class Channel:
    """Frames in and out of one non-blocking socket.

    `at_end`: the other side is gone. `filled`: the last read filled its buffer, so more may be
    there. `blocked`: the socket has not taken all that is to be sent.
    Descriptors that come beside a frame are never taken in: the kernel closes them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = wire.from_worker()
        self._out: deque[Blob] = deque()
        self.blocked = False
        self.at_end = self.filled = False

    def read(self, buffer: memoryview) -> list[tuple[FromWorker, tuple[Blob, ...]]] | None:
        """The frames that one read completes, None if nothing is there; `buffer` is scratch space.

        Raises wire.FrameError.
        """
        self.filled = False
        try:
            data = buffer[: self._sock.recv_into(buffer)]
        except BlockingIOError:
            return None
        except OSError:
            self.at_end = True
            return None
        if not data:
            self.at_end = True
            return None
        self.filled = len(data) == len(buffer)
        return self._reader.feed(data)

    def end_with_what_is_there(self) -> None:
        """Nobody can send any more, whoever holds the other end; what was sent can be read."""
        self._sock.shutdown(socket.SHUT_RD)

    @property
    def is_overfull(self) -> bool:
        """True if so much waits to be sent as only for somebody who asks and never reads."""
        return len(self._out) > _MOST_UNSENT

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


def _first(out: deque[Blob]) -> list[Blob]:
    return list(out) if len(out) <= _IOV_MAX else list(islice(out, _IOV_MAX))
