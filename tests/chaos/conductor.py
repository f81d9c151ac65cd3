"""Tells each worker where it shall die, and sees to it that it does.

Every worker asks at its start. One that does not come to its place in time is killed wherever it
is. Counted is who was seen to die.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import selectors
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .points import ELSEWHERE, Order, Score

SOCKET = "faults"
_STOPPED_S = 0.003
_CREDENTIALS = struct.Struct("3i")


@dataclass(kw_only=True)
class Life:
    """One process of a worker. `hit`: it is at its place; `struck`: we have killed it."""

    pid: int
    pidfd: int
    teller: socket.socket
    role: str = ""
    order: Order | None = None
    ends_at: float = float("inf")
    hit: bool = False
    struck: bool = False


class Conductor:
    """Of one round; a note on each process is in the file `ends` of its folder.

    `points` are those of each role, `patience_s` is how long it waits for a worker to come to one;
    `most` is how many may die; `ends` has the place of each that has.
    """

    def __init__(
        self,
        folder: Path,
        score: Score,
        chance: random.Random,
        *,
        most: int,
        points: dict[str, tuple[str, ...]],
        patience_s: float,
    ) -> None:
        self.ends: dict[int, str] = {}
        self._score = score
        self._chance = chance
        self._most = most
        self.points = points
        self._patience_s = patience_s
        self._lives: dict[int, Life] = {}
        self._ready = selectors.DefaultSelector()
        self._notes = (folder / "ends").open("w", buffering=1)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inside = os.open(folder, os.O_PATH)
        self._door.bind(f"/proc/self/fd/{inside}/{SOCKET}")  # a path that is short enough
        os.close(inside)
        self._door.listen(128)
        self._watch(self._door, self._enter)

    def follow(
        self,
        guard: subprocess.Popen[bytes],
        deadline: float,
        each_turn: Callable[[], None],
        *,
        turn_s: float = float("inf"),
    ) -> None:
        """Go on until the run has ended, or the deadline has passed; a turn is no longer."""
        ended = os.pidfd_open(guard.pid)
        self._watch(ended, lambda: None)
        try:
            while guard.poll() is None and (now := time.monotonic()) < deadline:
                next_s = min((life.ends_at for life in self._lives.values()), default=deadline)
                longest_s = min(next_s - now, deadline - now, turn_s)
                for key, _ in self._ready.select(max(0.0, longest_s)):
                    key.data()
                self._strike(time.monotonic())
                each_turn()
        finally:
            os.close(ended)

    def close(self) -> None:
        """Forget everybody."""
        for life in self._lives.values():
            life.teller.close()
            os.close(life.pidfd)
        self._door.close()
        self._notes.close()
        self._ready.close()

    def _watch(self, fd: int | socket.socket, act: Callable[[], None]) -> None:
        self._ready.register(fd, selectors.EVENT_READ, act)

    def _enter(self) -> None:
        teller, _ = self._door.accept()
        sent = teller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, _, _ = _CREDENTIALS.unpack(sent)
        try:
            life = Life(pid=pid, pidfd=os.pidfd_open(pid), teller=teller)
        except ProcessLookupError:
            teller.close()
            return
        self._lives[pid] = life
        self._watch(teller, lambda: self._hear(life))
        self._watch(life.pidfd, lambda: self._bury(life))

    def _hear(self, life: Life) -> None:
        with contextlib.suppress(OSError):
            said = life.teller.recv(256, socket.MSG_DONTWAIT).decode()
            if not said:
                self._ready.unregister(life.teller)
            elif not life.role:
                life.role = said.rpartition("-")[0]
                life.teller.send(self._order(life).encode())
            else:
                life.hit = True
                life.ends_at = self._soon(_STOPPED_S)

    def _order(self, life: Life) -> str:
        points = self.points.get(life.role)
        if not points or len(self.ends) >= self._most:
            return ""
        life.order = self._score.order(life.role, points)
        life.ends_at = self._soon(self._patience_s)
        return str(life.order)

    def _soon(self, mean_s: float) -> float:
        return time.monotonic() + self._chance.expovariate(1 / mean_s)

    def _strike(self, now: float) -> None:
        """Kill who stands at its place, and who has not come there in time."""
        for life in self._lives.values():
            if life.ends_at <= now:
                life.ends_at = float("inf")
                if not _is_dead(life.pidfd) and (life.hit or len(self.ends) < self._most):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(life.pidfd, signal.SIGKILL)
                        life.struck = True

    def strike_all(self) -> None:
        """Kill everybody who was told to die, wherever they are."""
        for life in self._lives.values():
            if life.order is not None:
                life.ends_at = 0.0
        self._strike(time.monotonic())

    def _bury(self, life: Life) -> None:
        if life.teller in self._ready.get_map():
            self._hear(life)  # its last word
        for fd in (life.teller, life.pidfd):
            with contextlib.suppress(KeyError):
                self._ready.unregister(fd)
        life.teller.close()
        os.close(life.pidfd)
        del self._lives[life.pid]
        print(life.pid, life.role, life.order, life.hit, life.struck, file=self._notes)
        if life.order is not None and (life.struck or (life.hit and life.order.by_itself)):
            self.ends[life.pid] = place = life.order.point if life.hit else ELSEWHERE
            self._score.hits[life.role, place] += 1


def _is_dead(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
