"""A connection to the orchestrator in the making: connect, prove the key, see it proved."""

from __future__ import annotations

import errno
import os
import selectors
import socket

from orchestrator.engine.agents.keys import HANDSHAKE_S, Introduction, Prover, UnprovedError

__all__ = ["Dialing"]

_MOST_TRIES = 10
_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EAGAIN})


class Dialing:
    """One connection, which nobody waits for: `go_on` when `fileno` is ready for `events`.

    Who is let go before all is proved tries again, a limited number of times: the orchestrator
    closes the oldest of too many. `until` is when this try has had its time; then `give_up` it.
    """

    def __init__(
        self, address: tuple[str, int], key: bytes, run: str, about: Introduction, *, now: float
    ) -> None:
        self._address = address
        self._key = key
        self._run = run
        self._about = about
        self._left = _MOST_TRIES
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._left -= 1
        self.until = now + HANDSHAKE_S
        self._prover = Prover(self._key, self._run, self._about)
        self._is_connected = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (number := self.sock.connect_ex(self._address)) not in _UNDER_WAY:
            self.sock.close()
            raise OSError(number, os.strerror(number))

    @property
    def events(self) -> int:
        """The events that it waits for."""
        return selectors.EVENT_READ if self._is_connected else selectors.EVENT_WRITE

    def go_on(self, now: float) -> bool:
        """Return whether `sock` is connected and all is proved; `sock` may be another than before.

        Raises OSError or UnprovedError if it will never be; then it is closed.
        """
        try:
            return self._step()
        except UnprovedError:
            self.sock.close()
            raise
        except OSError as error:
            self.retry(now, error)
            return False

    def retry(self, now: float, error: OSError | None = None) -> None:
        """Try again: this try has failed, or had its time. Raises OSError after too many."""
        self.sock.close()
        if not self._left:
            raise error or TimeoutError(errno.ETIMEDOUT, "the orchestrator does not answer")
        self._begin(now)

    def _step(self) -> bool:
        if not self._is_connected:
            if number := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(number, os.strerror(number))
            self._is_connected = True
        try:
            while wanted := self._prover.wanted:
                if not (data := self.sock.recv(wanted)):
                    raise ConnectionResetError(errno.ECONNRESET, "closed during the handshake")
                if answer := self._prover.feed(data):
                    self.sock.sendall(answer)  # fits into a fresh socket
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Nobody wants it any more."""
        self.sock.close()
