"""The orchestrator's port: it lets in who proves the run's key, and is held up by nobody else."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
from dataclasses import dataclass

from orchestrator.engine.agents.keys import (
    HANDSHAKE_S,
    Authenticator,
    Introduction,
    UnprovedError,
)

__all__ = ["LOOPBACK", "Listener", "peek"]

LOOPBACK = "127.0.0.1"
_MOST_UNPROVED = 64
_ACCEPTED_AT_ONCE = 16
"""An honest one is read several times before so many others have come that it would be dropped."""
_BACKLOG = 4096
"""Of these the system keeps somaxconn. Who finds no place is told nothing, and dials anew later."""
_PAUSE_S = 1.0
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(eq=False)
class _Unproved:
    """A connection that has not proved the key yet, and when it will have had its time."""

    sock: socket.socket
    authenticator: Authenticator
    until: float


class Listener:
    """One TCP port, and the connections that have not proved the key.

    It is one descriptor to wait for (`fileno`), with a deadline. Of connections that prove nothing
    the oldest is closed when there are too many, and each after its time. Times are monotonic
    seconds.
    """

    def __init__(self, run_key: bytes, run: str, *, host: str = LOOPBACK) -> None:
        self._run_key = run_key
        self._run = run
        self._sock = socket.create_server((host, 0), backlog=_BACKLOG)
        self._sock.setblocking(False)
        self._selector = selectors.EpollSelector()
        self._unproved: dict[int, _Unproved] = {}
        self._resumes: float | None = None
        self._listen()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._sock.getsockname()
        return host, port

    @property
    def unproved(self) -> int:
        """The number of connections that have not proved the key."""
        return len(self._unproved)

    def fileno(self) -> int:
        """Return the descriptor that is readable when `step` has something to do."""
        return self._selector.fileno()

    def next_deadline(self) -> float | None:
        """Return when `step` is due though nothing is readable."""
        times = [each.until for each in self._unproved.values()]
        if self._resumes is not None:
            times.append(self._resumes)
        return min(times, default=None)

    def step(self, now: float) -> list[tuple[socket.socket, Introduction]]:
        """Go on with all handshakes; return the connections that have proved the key.

        An agent dials anew after its time: who was stopped meanwhile finds proofs on connections
        that the agent has closed, and refuses those.
        Those that are known already come first: no flood of new ones keeps them waiting.
        """
        ready = [key.data for key, _ in self._selector.select(0)]
        proved = [
            (each.sock, introduction)
            for each in ready
            if each is not None and (introduction := self._go_on(each))
        ]
        if None in ready:
            self._accept(now)
        for each in [e for e in self._unproved.values() if e.until <= now]:
            self._drop(each)
        if self._resumes is not None and self._resumes <= now:
            self._resumes = None
            self._listen()
        return proved

    def close(self) -> None:
        """Close the port and every connection that has proved nothing."""
        for each in list(self._unproved.values()):
            self._drop(each)
        self._selector.close()
        self._sock.close()

    def _listen(self) -> None:
        self._selector.register(self._sock, selectors.EVENT_READ, None)

    def _accept(self, now: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._make_room(now)
                return
            if len(self._unproved) >= _MOST_UNPROVED:
                self._drop_oldest()
            sock.setblocking(False)
            each = _Unproved(sock, Authenticator(self._run_key, self._run), now + HANDSHAKE_S)
            self._unproved[sock.fileno()] = each
            self._selector.register(sock, selectors.EVENT_READ, each)
            if not _said(sock, each.authenticator.greeting):
                self._drop(each)

    def _make_room(self, now: float) -> None:
        """No descriptor is left: the oldest gives its own, else nobody is let in for a while."""
        if self._unproved:
            self._drop_oldest()
        else:
            self._selector.unregister(self._sock)
            self._resumes = now + _PAUSE_S

    def _go_on(self, each: _Unproved) -> Introduction | None:
        """Read what is there; return what a connection has proved, which is then the caller's."""
        authenticator, sock = each.authenticator, each.sock
        try:
            while authenticator.wanted:
                if not (data := sock.recv(authenticator.wanted)):
                    break
                answer = authenticator.feed(data)
        except BlockingIOError:
            return None
        except (OSError, UnprovedError):
            self._drop(each)
            return None
        introduction = authenticator.introduction
        if introduction is None or peek(sock) == b"" or not _said(sock, answer):
            self._drop(each)
            return None
        self._forget(each)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return introduction

    def _drop_oldest(self) -> None:
        self._drop(next(iter(self._unproved.values())))

    def _drop(self, each: _Unproved) -> None:
        self._forget(each)
        each.sock.close()

    def _forget(self, each: _Unproved) -> None:
        del self._unproved[each.sock.fileno()]
        self._selector.unregister(each.sock)


def peek(sock: socket.socket) -> bytes | None:
    """Return the first byte that is still to be read: None if none has come, b"" at the end."""
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _said(sock: socket.socket, data: bytes) -> bool:
    """Send some bytes that fit into every fresh socket; return whether they did."""
    with contextlib.suppress(OSError):
        return sock.send(data) == len(data)
    return False
