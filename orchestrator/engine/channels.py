"""Channels: the orchestrator's ends of its workers' sockets, none of which blocks.

Called in the parent. Any engine has them there, wherever the workers are.
"""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
from collections import deque
from itertools import islice
from typing import Any, Final, Protocol, cast

from orchestrator.core.protocol.events import AnyBlob, Blob
from orchestrator.core.protocol.messages import FromWorker, Leased, ToWorker
from orchestrator.engine.engine import Malformed, Received
from orchestrator.ipc import wire

__all__ = ["READ_SIZE", "Channel", "Channels", "Poller"]

READ_SIZE = 256 * 1024
_IOV_MAX: Final = 512
_READS_OF_A_CHUNK: Final = 8
"""In one turn, before others are heard: what the socket holds, which is sent on meanwhile."""
_MOST_UNSENT: Final = 1 << 16
"""Buffers: an answer is one, a chunk of a lease too. The socket holds some hundreds more."""


class Channel:
    """Frames in and out of one non-blocking socket.

    `at_end`: the other side is gone. `filled`: the last read filled its buffer, so more may be
    there. `blocked`: the socket has not taken all that is to be sent, which is in `out`.
    Descriptors that come beside a frame are never taken in: the kernel closes them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = wire.from_worker()
        self.out: deque[Blob] = deque()
        self.blocked = False
        self.at_end = self.filled = False

    def read(self, buffer: memoryview) -> list[tuple[FromWorker, tuple[Blob, ...]]] | None:
        """The frames that one read completes, None if nothing is there; `buffer` is scratch space.

        A large chunk is read into its own buffer, by several reads. Raises wire.FrameError.
        """
        self.filled = False
        reader, frames = self._reader, None
        for _ in range(_READS_OF_A_CHUNK):
            room = reader.room()
            into = buffer if room is None else room
            try:
                n = self.sock.recv_into(into)
            except BlockingIOError:
                break
            except OSError:
                n = 0
            if not n:
                self.at_end = frames is None  # else the next read finds it again
                break
            self.filled = n == len(into)
            frames = reader.feed(buffer[:n]) if room is None else reader.filled(n)
            if frames or reader.room() is None:
                break
        return frames

    def end_with_what_is_there(self) -> None:
        """Nobody can send any more, whoever holds the other end; what was sent can be read."""
        self.sock.shutdown(socket.SHUT_RD)

    @property
    def is_overfull(self) -> bool:
        """True if so much waits to be sent as only for somebody who asks and never reads."""
        return len(self.out) > _MOST_UNSENT

    def send(self, message: ToWorker, blobs: tuple[Blob, ...]) -> None:
        """Queue a frame; `flush` sends it."""
        self.out += wire.encode(message, blobs)

    def flush(self) -> bool:
        """Send what the socket takes; whether `blocked` has changed."""
        out, before = self.out, self.blocked
        try:
            while out:
                if len(out) == 1:
                    self._drop(self.sock.send(out[0]))
                else:
                    self._drop(self.sock.sendmsg(_first(out)))
        except BlockingIOError:
            pass
        except OSError:
            out.clear()  # its reader is gone; that it died comes by its pidfd
        self.blocked = bool(out)
        return self.blocked is not before

    def _drop(self, sent: int) -> None:
        out = self.out
        while out and sent >= len(out[0]):
            sent -= len(out.popleft())
        if sent:
            out[0] = memoryview(out[0])[sent:]


def _first(out: deque[Blob]) -> list[Blob]:
    return list(out) if len(out) <= _IOV_MAX else list(islice(out, _IOV_MAX))


class Registry(Protocol):
    """The half of a selector that channels use; a Poller has it, too."""

    def register(self, fileobj: socket.socket | int, events: int, data: Any) -> object:
        """Wait for these events of a descriptor."""

    def modify(self, fileobj: socket.socket | int, events: int, data: Any) -> object:
        """Wait for others from now on."""

    def unregister(self, fileobj: socket.socket | int) -> object:
        """Wait for it no more."""


class Poller:
    """A selector that is nothing but its epoll: what is ready is found by one look a descriptor.

    The events are those of `selectors`.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._data: dict[int, Any] = {}

    def register(self, fileobj: socket.socket | int, events: int, data: Any) -> None:
        """See Registry."""
        fd = _fd(fileobj)
        self._epoll.register(fd, _EVENTS[events])
        self._data[fd] = data

    def modify(self, fileobj: socket.socket | int, events: int, data: Any) -> None:
        """See Registry."""
        fd = _fd(fileobj)
        self._epoll.modify(fd, _EVENTS[events])
        self._data[fd] = data

    def unregister(self, fileobj: socket.socket | int) -> None:
        """See Registry."""
        fd = _fd(fileobj)
        del self._data[fd]
        with contextlib.suppress(OSError):  # closed meanwhile
            self._epoll.unregister(fd)

    def ready(self, timeout_s: float | None) -> list[Any]:
        """Wait, and return the data of what is ready."""
        data = self._data
        return [data[fd] for fd, _ in self._epoll.poll(timeout_s) if fd in data]

    def close(self) -> None:
        """Close the epoll."""
        self._epoll.close()


_EVENTS = {
    selectors.EVENT_READ: select.EPOLLIN,
    selectors.EVENT_WRITE: select.EPOLLOUT,
    selectors.EVENT_READ | selectors.EVENT_WRITE: select.EPOLLIN | select.EPOLLOUT,
}


def _fd(source: socket.socket | int) -> int:
    return source if isinstance(source, int) else source.fileno()


class Channels:
    """The channels of a run by their workers' names, registered with the `selector` of an engine.

    A worker's channel is opened when its start is ordered, and adopted when it is there: until then
    what is sent to it is kept. The data of a registered one is its worker's name and itself.
    """

    def __init__(self, selector: Registry) -> None:
        self._selector = selector
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._early: dict[str, deque[Blob]] = {}
        self._channels: dict[str, Channel] = {}
        self._ended: dict[str, Channel] = {}
        """Channels that nothing comes from any more; closed, a worker that lives would hear it."""
        self._sending: dict[str, Channel] = {}
        self._awaited: dict[str, Channel] = {}
        """Those of them with items for a worker that waits: they are sent first."""
        self._overfull: set[str] = set()
        self._malformed: list[Malformed] = []

    def open(self, worker: str) -> None:
        """Keep what is sent to a worker from now on, until it is there."""
        self._early[worker] = deque()

    def adopt(self, worker: str, sock: socket.socket) -> None:
        """Take a worker's socket; close it if nobody waits for it any more."""
        if (early := self._early.pop(worker, None)) is None:
            sock.close()
            return
        sock.setblocking(False)
        channel = self._channels[worker] = Channel(sock)
        self._selector.register(sock, selectors.EVENT_READ, (worker, channel))
        if early:
            channel.out = early
            self._sending[worker] = channel

    def is_open(self, worker: str) -> bool:
        """Return whether the worker's channel is there and has not come to its end."""
        return worker in self._channels

    def send(self, worker: str, message: ToWorker, blobs: tuple[AnyBlob, ...]) -> None:
        """Queue a frame; `flush` sends it. One to a worker that is gone is dropped.

        Where chunks may lie in arenas, their places have been put in their stead before.
        """
        if (channel := self._channels.get(worker)) is not None:
            channel.out += wire.encode(message, cast("tuple[Blob, ...]", blobs))
            self._sending[worker] = channel
            if type(message) is Leased:
                self._awaited[worker] = channel
        elif (early := self._early.get(worker)) is not None:
            early += wire.encode(message, cast("tuple[Blob, ...]", blobs))

    def flush(self) -> None:
        """Send what the sockets take, items first: who reads wakes, and may take the processor."""
        sending, self._sending = self._sending, {}
        if self._awaited:
            sending, self._awaited = self._awaited | sending, {}
        for worker, channel in sending.items():
            if channel.flush():
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.blocked else 0)
                self._selector.modify(channel.sock, wanted, (worker, channel))
            if channel.blocked:
                self._sending[worker] = channel
                self._refuse_overfull(worker, channel)

    def _refuse_overfull(self, worker: str, channel: Channel) -> None:
        """Told once: the worker is killed for it, which takes more than a turn."""
        if channel.is_overfull and worker not in self._overfull:
            self._overfull.add(worker)
            detail = "asks, and does not read the answers"
            self._malformed.append(Malformed(worker=worker, detail=detail))

    def pending(self) -> list[Malformed]:
        """Return what `flush` has found; each is told once."""
        found, self._malformed = self._malformed, []
        return found

    def read(self, worker: str, channel: Channel) -> Received | Malformed | None:
        """Return what one read brings, without frames if none is whole yet; None if it was none."""
        try:
            frames = channel.read(self._buffer)
        except wire.FrameError as error:
            return Malformed(worker=worker, detail=str(error))
        if channel.at_end:
            self._end(worker, channel)
        return None if frames is None else Received(worker=worker, frames=frames)

    def last_words(self, worker: str) -> list[Received | Malformed]:
        """Return all that a dead worker had sent, as far as nobody has read it.

        There need not be an end: a child that it has left may hold the socket open.
        """
        if (channel := self._channels.get(worker)) is None:
            return []
        channel.end_with_what_is_there()
        said: list[Received | Malformed] = []
        while (found := self.read(worker, channel)) is not None:
            said.append(found)
            if isinstance(found, Malformed):
                break
        return said

    def disconnect(self, worker: str) -> None:
        """Fence a worker: nothing is read of it any more, and nothing sent."""
        self._early.pop(worker, None)
        if (channel := self._channels.get(worker)) is not None:
            self._end(worker, channel)
            with contextlib.suppress(OSError):  # a TCP connection that the other side has reset
                channel.sock.shutdown(socket.SHUT_RDWR)

    def forget(self, worker: str) -> None:
        """Close the worker's socket: it is dead, or will never be."""
        self.disconnect(worker)
        self._overfull.discard(worker)
        if (channel := self._ended.pop(worker, None)) is not None:
            channel.sock.close()

    def close(self) -> None:
        """Forget everybody."""
        for worker in [*self._early, *self._channels, *self._ended]:
            self.forget(worker)

    def _end(self, worker: str, channel: Channel) -> None:
        self._selector.unregister(channel.sock)
        self._sending.pop(worker, None)
        self._awaited.pop(worker, None)
        self._ended[worker] = self._channels.pop(worker)
