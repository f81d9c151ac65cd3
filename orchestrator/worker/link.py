"""The link of a worker to the broker: frames over a stream socket, and a wakeup beside it.

Called in the child.
"""

from __future__ import annotations

import select
import socket
from typing import Final

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import FromWorker, ToWorker
from orchestrator.errors import caused_by
from orchestrator.ipc import wire
from orchestrator.kernel.calls import bounded
from orchestrator.worker.errors import LinkClosedError
from orchestrator.worker.wakeup import Wakeup

__all__ = ["Link"]

_READ_SIZE = 256 * 1024
_IOV_MAX: Final = 1000
"""Buffers of one `sendmsg`: Linux takes 1024."""


class Link:
    """A framed socket with a way to wake whoever waits on it.

    Any connected stream socket will do, of AF_UNIX or TCP: nothing is asked of its family, and no
    descriptor or credential travels on it. Not thread safe: the lock of the worker's connection
    guards everything but `wait`. `gone` is raised when nobody is at the other end any more.
    """

    def __init__(
        self, sock: socket.socket, *, gone: type[LinkClosedError] = LinkClosedError
    ) -> None:
        self._sock = sock
        self._gone = gone
        sock.setblocking(True)
        self._reader = wire.to_worker()
        self._buffer = memoryview(bytearray(_READ_SIZE))
        self._queue: list[Blob] = []
        self._bell = Wakeup()
        self._socket_only, self._bell_only, self._both = (select.poll() for _ in range(3))
        for poller in (self._socket_only, self._both):
            poller.register(sock, select.POLLIN)
        for poller in (self._bell_only, self._both):
            poller.register(self._bell.fd, select.POLLIN)

    def queue(self, message: FromWorker, blobs: tuple[Blob, ...] = ()) -> None:
        """Add a frame to what the next `flush` sends."""
        self._queue += wire.encode(message, blobs)

    def flush(self) -> None:
        """Send every queued frame.

        Raises LinkClosedError when nobody listens any more.
        """
        buffers, self._queue = self._queue, []
        self.send(buffers)

    def send(self, buffers: list[Blob]) -> None:
        """Send bytes before anything that is queued; raises as `flush`."""
        try:
            if len(buffers) == 1:
                self._sock.sendall(buffers[0])
                return
            while buffers:
                sent = self._sock.sendmsg(buffers[:_IOV_MAX])
                buffers = _rest(buffers, sent)
        except OSError as error:
            raise caused_by(self._gone(str(error)), error) from error

    def receive(self) -> list[tuple[ToWorker, tuple[Blob, ...]]]:
        """The frames that are there, without waiting.

        Raises LinkClosedError at the end.
        """
        frames: list[tuple[ToWorker, tuple[Blob, ...]]] = []
        reader, buffer = self._reader, self._buffer
        while True:
            room = reader.room()
            into = buffer if room is None else room
            try:
                n = self._sock.recv_into(into, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            except OSError as error:
                raise caused_by(self._gone(str(error)), error) from error
            if n == 0:
                raise self._gone("the orchestrator has closed the connection")
            frames += reader.feed(buffer[:n]) if room is None else reader.filled(n)
            if n < len(into):  # else there may be more
                return frames

    def wait(self, timeout_s: float | None, *, yielding: bool = False) -> None:
        """Wait for something to read, if `yielding` for a `wake` too, or the timeout.

        It may end early: no wait is longer than a day. May be called without the lock. Whoever does
        not `hush` the wakeup must not listen to it: it would spin.
        """
        poller = self._both if yielding else self._socket_only
        if timeout_s is None:
            poller.poll()
        else:
            _poll(poller, timeout_s)

    def sleep(self, timeout_s: float | None) -> None:
        """Wait for a `wake` or the timeout; may be called without the lock."""
        _poll(self._bell_only, timeout_s)

    def wake(self) -> None:
        """End a yielding `wait` or a `sleep` of another thread, or the next one."""
        try:
            self._bell.ring()
        except OSError as error:  # a target may close what is not its own
            raise caused_by(self._gone(str(error)), error) from error

    def hush(self) -> None:
        """Forget earlier wakes."""
        try:
            self._bell.hush()
        except OSError as error:
            raise caused_by(self._gone(str(error)), error) from error

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket and the wakeup; it may still be rung while this object lives."""
        self._sock.close()
        self._bell.close()


def _poll(poller: select.poll, timeout_s: float | None) -> None:
    wait_s = bounded(timeout_s)
    poller.poll(None if wait_s is None else wait_s * 1000)


def _rest(buffers: list[Blob], sent: int) -> list[Blob]:
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[index + 1 :]]
        sent -= len(buffer)
    return []
