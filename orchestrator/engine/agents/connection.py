"""A control connection: records over one non-blocking socket, and the heartbeats of both sides.

Nothing here waits: who owes a kill is never held up by a reader that is slow. What is to be sent
is bounded by whoever sends: output has its window, beats are left out while others wait.
"""

from __future__ import annotations

import selectors
import socket
from typing import Generic, TypeVar

from orchestrator.engine.agents.control import (
    Beat,
    FromAgent,
    RecordReader,
    ToAgent,
    encode,
)

__all__ = ["BEAT_S", "PATIENCE_S", "ControlConnection", "Heartbeat"]

R = TypeVar("R")

BEAT_S = 1.0
PATIENCE_S = 20.0
"""The orchestrator's. An agent has half of it: its workers are dead before anybody is given what
they held."""

_READ_SIZE = 256 * 1024


class Heartbeat:
    """When to speak, and from when on the other is lost: after `patience_s` without a byte. Pure.

    Who waits until `next_check` and reads what has come before it asks `is_lost` does not mistake a
    stretch in which it was stopped itself for the other's silence.
    """

    def __init__(self, now: float, *, patience_s: float, every_s: float = BEAT_S) -> None:
        self._patience_s = patience_s
        self._every_s = min(every_s, patience_s / 4)
        self._heard = now
        self._next = now

    def hear(self, now: float) -> None:
        """Something has come."""
        self._heard = now

    def is_due(self, now: float) -> bool:
        """Return whether it is time to say something, which is then taken as said."""
        if now < self._next:
            return False
        self._next = now + self._every_s
        return True

    def is_lost(self, now: float) -> bool:
        """Return whether the other has been silent for too long."""
        return now - self._heard >= self._patience_s

    def next_check(self) -> float:
        """Return when to look again."""
        return min(self._next, self._heard + self._patience_s)


class ControlConnection(Generic[R]):
    """One side of it: reads records of type R, sends the others.

    `at_end`: the other side is gone, or has broken the protocol; `why` says so in words.
    """

    def __init__(
        self, sock: socket.socket, reader: RecordReader[R], *, patience_s: float, now: float
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.at_end = False
        self.why = ""
        self._reader = reader
        self._out = bytearray()
        self._heartbeat = Heartbeat(now, patience_s=patience_s)
        self._patience_s = patience_s

    @property
    def events(self) -> int:
        """The events that a selector is to wait for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)

    @property
    def unsent(self) -> int:
        """The number of bytes that the socket has not taken yet."""
        return len(self._out)

    def send(self, record: ToAgent | FromAgent) -> int:
        """Queue a record; `flush` sends it. Return its bytes."""
        data = encode(record)
        if not self.at_end:
            self._out += data
        return len(data)

    def flush(self) -> None:
        """Send what the socket takes."""
        try:
            while self._out:
                del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(f"its control connection has broken ({error.strerror})")

    def read(self, now: float) -> list[tuple[R, int]]:
        """Return the records that one read brings, each with its bytes; none at the end."""
        try:
            data = self.sock.recv(_READ_SIZE)
        except BlockingIOError:
            return []
        except OSError as error:
            self._end(f"its control connection has broken ({error.strerror})")
            return []
        if not data:
            self._end("its control connection has ended")
            return []
        self._heartbeat.hear(now)
        return self._reader.feed(data)

    def beat(self, now: float) -> bool:
        """Say that this side lives, if it is time; whether it was. Ends when the other is lost.

        Called after `read`: what has come while this side was stopped counts.
        """
        if not self.at_end and self._heartbeat.is_lost(now):
            self._end(f"it has said nothing for {self._patience_s:g} s")
        if self.at_end or not self._heartbeat.is_due(now):
            return False
        if not self._out:
            self.send(Beat())
        return True

    def next_check(self) -> float:
        """Return when `beat` is due, in monotonic seconds."""
        return self._heartbeat.next_check()

    def close(self) -> None:
        """Close it; the other side sees its end."""
        self.at_end = True
        self.sock.close()

    def _end(self, why: str) -> None:
        self.at_end = True
        self.why = self.why or why
        self._out.clear()
