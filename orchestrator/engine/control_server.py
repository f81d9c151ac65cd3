"""The loop's side of the control socket: listens in the run's directory, answers, and never waits.

All of its descriptors are behind one epoll, which the engine watches as one. A client that sends
what is no request, asks and does not read, or is another user's is cut off; nothing of the run
depends on any of them, and without clients nothing is done here.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from orchestrator.control import protocol
from orchestrator.control.protocol import (
    GREETING,
    LARGEST_ITEM,
    MOST_ITEMS,
    SOCKET_NAME,
    Answer,
    AskItems,
    AskPicture,
    AskStacks,
    AskStop,
    FrameError,
    PassedItems,
    Picture,
    Refusal,
    Request,
    Stack,
    Stopping,
    Welcome,
)
from orchestrator.core.broker.observers import LiveTap
from orchestrator.core.durable.records import Passed
from orchestrator.core.protocol.events import StopHow, whole
from orchestrator.core.samples import Header, Sample
from orchestrator.core.stacks import ShownStack
from orchestrator.engine.stack_rounds import Tell
from orchestrator.errors import MporchError
from orchestrator.files import open_directory

__all__ = ["Client", "ControlServer", "LiveRun"]

_READ_BYTES: Final = 1 << 12
"""Of requests in a step: more than a hundred of them."""
_MOST_CLIENTS: Final = 32
_BACKLOG: Final = 16
_MOST_UNSENT: Final = 1 << 16
"""Bytes of answers that wait for a client; who asks for more and reads nothing is cut off.

An answer may be larger: a client reads it before it asks again.
"""
_MOST_UNSENT_ITEMS: Final = LARGEST_ITEM
"""Bytes from which on a tap notes nothing more until its client has read."""
_CREDENTIALS = struct.Struct("3i")


class LiveRun(Protocol):
    """The run as clients may see and touch it; called in the loop's thread."""

    def samples(self) -> tuple[Sample, Sample]:
        """Return the newest sample, behind the oldest of the last seconds."""

    def stop(self, how: StopHow) -> None:
        """Have it end."""

    def tap(self, queue: str) -> LiveTap | None:
        """Return a new tap of a queue; None if there is no such queue."""

    def look(self, who: str, tell: Tell) -> bool:
        """Have `tell` called with stacks; False if there is no job or worker of that name."""


class Client:
    """One connection, accepted and greeted; `gone` once nothing can be sent any more."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = protocol.requests()
        self.gone = False
        self.tap: LiveTap | None = None
        self.queue = ""
        self.unsent = 0
        self._out: deque[memoryview] = deque()

    def answer(self, record: Answer) -> None:
        """Queue a record, and send what the socket takes."""
        self.send(protocol.encode(record))

    def send(self, data: bytes) -> None:
        """Queue bytes, and send what the socket takes."""
        if self.gone:
            return
        self._out.append(memoryview(data))
        self.unsent += len(data)
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes."""
        out = self._out
        try:
            while out:
                sent = self.sock.send(out[0], socket.MSG_NOSIGNAL)
                self.unsent -= sent
                if sent < len(out[0]):
                    out[0] = out[0][sent:]
                else:
                    out.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.gone = True


class ControlServer:
    """Serves clients; `fileno` is readable when `step` has something to do."""

    def __init__(
        self,
        listener: socket.socket,
        header: Header,
        *,
        uids: frozenset[int],
        directory: Path | None = None,
        sentence: Callable[[], str] = str,
    ) -> None:
        self._listener = listener
        self._welcome = GREETING + protocol.encode(Welcome(header=header))
        self._uids = uids
        self._directory = directory
        self._sentence = sentence
        self._epoll = select.epoll()
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._clients: dict[int, Client] = {}
        self._tapping: dict[int, Client] = {}
        self._picture = b""
        self._pictured: Sample | None = None
        """What the picture was made of: however often clients ask, it is made once."""
        self._takers: dict[type, Callable[[LiveRun, Client, Any], None]] = {
            AskPicture: self._show,
            AskStop: self._stop,
            AskItems: self._watch_queue,
            AskStacks: self._look,
        }
        listener.setblocking(False)
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    @classmethod
    def listening(
        cls, directory: Path, header: Header, sentence: Callable[[], str]
    ) -> ControlServer:
        """Listen in a run's directory, in the place of a life before. Raises OSError.

        `sentence` tells what limits the run.
        """
        sock = listen(directory)
        try:
            uids = frozenset({0, os.geteuid()})
            return cls(sock, header, uids=uids, directory=directory, sentence=sentence)
        except OSError:
            sock.close()
            raise

    def fileno(self) -> int:
        """Return what is to be watched."""
        return self._epoll.fileno()

    @property
    def is_tapping(self) -> bool:
        """True while items are awaited for a client: `pass_on` is to be called each turn."""
        return bool(self._tapping)

    def step(self, run: LiveRun) -> None:
        """Accept, read and answer what is there: one read a client."""
        for fd, events in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif (client := self._clients.get(fd)) is not None:
                if events & select.EPOLLOUT:
                    client.flush()
                if events & ~select.EPOLLOUT:
                    self._read(run, client)
                self._settle(client)

    def pass_on(self) -> None:
        """Send what taps have noted."""
        for client in list(self._tapping.values()):
            tap = client.tap
            assert tap is not None
            if tap.has_noted:
                self._pass(client, tap)
                self._settle(client)
            if not tap.wanted:
                self._tapping.pop(client.sock.fileno(), None)

    def close(self) -> None:
        """Cut everybody off; nobody can connect any more."""
        if self._epoll.closed:
            return
        for client in list(self._clients.values()):
            self._drop(client)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # whoever holds a copy of it
        self._listener.close()
        self._epoll.close()
        if self._directory is not None:
            with contextlib.suppress(OSError), open_directory(self._directory) as here:
                os.unlink(SOCKET_NAME, dir_fd=here)
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    # -- connections ------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._refuse()
            return
        if not self._may_connect(sock):
            sock.close()
            return
        sock.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS:
            self._drop(next(iter(self._clients.values())))
        client = Client(sock)
        self._clients[sock.fileno()] = client
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        client.send(self._welcome)
        self._settle(client)

    def _may_connect(self, sock: socket.socket) -> bool:
        try:
            found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return False
        return _CREDENTIALS.unpack(found)[1] in self._uids

    def _refuse(self) -> None:
        """No descriptor is left: with the spare one the next client is closed, else told for ever.

        Where that is of no use nobody is waited for any more.
        """
        try:
            if self._spare is not None:
                os.close(self._spare)
                self._spare = None
            self._listener.accept()[0].close()
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._epoll.unregister(self._listener.fileno())

    def _read(self, run: LiveRun, client: Client) -> None:
        try:
            data = client.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            client.gone = True
            return
        try:
            requests = client.frames.feed(data)
        except FrameError:
            client.gone = True
            return
        if client.frames.greeting not in (None, GREETING):
            client.gone = True  # of another version: it has ours by now, and says so
            return
        for request in requests:
            self._take(run, client, request)

    def _take(self, run: LiveRun, client: Client, request: Request) -> None:
        most = _MOST_UNSENT + (2 * LARGEST_ITEM if client.tap is not None else 0)
        if client.unsent > most:
            client.gone = True
        elif not client.gone:
            self._takers[type(request)](run, client, request)

    def _settle(self, client: Client) -> None:
        """Wait for room where something is left to be sent; forget who is gone."""
        if client.gone:
            self._drop(client)
            return
        events = select.EPOLLIN | (select.EPOLLOUT if client.unsent else 0)
        self._epoll.modify(client.sock.fileno(), events)

    def _drop(self, client: Client) -> None:
        fd = client.sock.fileno()
        if self._clients.pop(fd, None) is None:
            return
        client.gone = True
        self._tapping.pop(fd, None)
        if client.tap is not None:
            client.tap.want(0)
        client.sock.close()

    # -- requests ---------------------------------------------------------------------------------

    def _show(self, run: LiveRun, client: Client, _: AskPicture) -> None:
        before, sample = run.samples()
        if sample is not self._pictured:
            picture = Picture(before=before, sample=sample, sentence=self._sentence())
            self._picture, self._pictured = protocol.encode(picture), sample
        client.send(self._picture)

    def _stop(self, run: LiveRun, client: Client, request: AskStop) -> None:
        run.stop(request.how)
        client.answer(Stopping())

    def _watch_queue(self, run: LiveRun, client: Client, request: AskItems) -> None:
        if client.tap is None or client.queue != request.queue:
            if client.tap is not None:
                client.tap.want(0)
            client.tap, client.queue = run.tap(request.queue), request.queue
        if client.tap is None:
            client.answer(Refusal(why=f"there is no queue {request.queue!r}"))
            return
        client.tap.want(min(request.n, MOST_ITEMS))
        self._tapping[client.sock.fileno()] = client

    def _look(self, run: LiveRun, client: Client, request: AskStacks) -> None:
        def tell(shown: ShownStack, left: int) -> None:
            if not client.gone:
                client.answer(Stack(shown=shown, left=left))
                self._settle(client)

        if not run.look(request.who, tell):
            client.answer(Refusal(why=f"there is no job or worker {request.who!r}"))

    def _pass(self, client: Client, tap: LiveTap) -> None:
        try:
            noted = tap.take()
        except MporchError:
            return  # what a resumed run had kept is damaged: its reader tells
        for each in noted:
            if client.unsent > _MOST_UNSENT_ITEMS:
                break  # not read for long: what was noted is missed
            client.answer(_copied(client.queue, each))


def _copied(queue: str, passed: Passed) -> PassedItems:
    size = len(passed.blob)
    return PassedItems(
        queue=queue,
        first=passed.first,
        start=passed.start,
        stop=passed.stop,
        packed=passed.packed,
        size=size,
        blob=bytes(whole(passed.blob)) if size <= LARGEST_ITEM else b"",
    )


def listen(directory: Path) -> socket.socket:
    """Return a listening socket in a directory, for its owner alone. Raises OSError.

    Its path counts from a descriptor: that of a directory may be longer than an address can be. It
    comes to its place by one step, in the place of any that is there.
    """
    draft = f".{SOCKET_NAME}.draft"
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(open_directory(directory))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        failed = stack.enter_context(contextlib.ExitStack())
        failed.callback(sock.close)
        os.fchmod(sock.fileno(), 0o600)  # that is what it is made with, less the umask
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=here)
        sock.bind(f"/proc/self/fd/{here}/{draft}")
        os.chmod(draft, 0o600, dir_fd=here)
        sock.listen(_BACKLOG)
        os.rename(draft, SOCKET_NAME, src_dir_fd=here, dst_dir_fd=here)
        failed.pop_all()
    return sock
