"""Who kills anybody: victims are found in /proc, without a look at what they say or have said."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import time
from collections import Counter
from pathlib import Path

from .processes import children, descendants

_DEATH_WITHIN_MS = 5000
_BIRTH_WITHIN_S = 0.2
_IMPORTS_S = 0.06
"""A worker has said its first word, and imported its target, after some such time."""

_SPAWNED = b"mporch: sink-"
"""The name of who is spawned: it is killed by nobody, and tells what has come."""

_WAYS = ("anybody", "at fork", "before the first message", "during imports", "the forkserver")
_WEIGHTS = (50, 15, 15, 15, 3)


class Killer:
    """Kills processes of a run. `hits` counts those that were seen to die, by how they were chosen.

    With `children` only what the workers' targets have started; else workers and their forkserver,
    but for those that are spawned.
    """

    def __init__(self, guard: int, chance: random.Random, *, children: bool) -> None:
        self.hits: Counter[str] = Counter()
        self._guard = guard
        self._chance = chance
        self._children = children

    def strike(self) -> None:
        """Choose somebody and kill them, if there is anybody."""
        if self._children:
            self._kill("a child", self._chosen(self._grandchildren()))
            return
        way = self._chance.choices(_WAYS, _WEIGHTS)[0]
        if way == "anybody":
            self._kill(way, self._chosen(self._workers()))
        elif way == "the forkserver":
            forked = self._chance.random() < 0.5 and self._newborn()
            server = self._forkserver()
            self._kill(f"{way} while it forks" if forked else way, server)
        elif pid := self._newborn():
            latest_s = {"at fork": 0.0, "before the first message": 0.005}.get(way, _IMPORTS_S)
            until = time.monotonic() + self._chance.uniform(0, latest_s)
            while time.monotonic() < until:  # exactly then: to sleep takes longer
                pass
            self._kill(way, pid)

    def _chosen(self, pids: list[int]) -> int | None:
        return self._chance.choice(pids) if pids else None

    def _kill(self, way: str, pid: int | None) -> None:
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid in descendants(self._guard):  # else the number may be another's by now
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    self.hits[way] += _has_died(pidfd)
            finally:
                os.close(pidfd)

    def _newborn(self) -> int | None:
        """The next worker that is forked, at once; /proc wakes nobody, so it is asked for.

        Somebody is killed first, for it to be forked.
        """
        before = set(self._workers())
        self._kill("anybody", self._chosen(sorted(before)))
        deadline = time.monotonic() + _BIRTH_WITHIN_S
        server = self._forkserver()
        while server is not None and time.monotonic() < deadline:
            if born := set(children(server)) - before:
                return born.pop()
        return None

    def _orchestrator(self) -> int | None:
        return next(iter(children(self._guard)), None)

    def _forkserver(self) -> int | None:
        orchestrator = self._orchestrator()
        for pid in children(orchestrator) if orchestrator else ():
            if b"forkserver import main" in _command(pid):
                return pid
        return None

    def _workers(self) -> list[int]:
        """Those of the forkserver, and those that the orchestrator has forked itself."""
        orchestrator, server = self._orchestrator(), self._forkserver()
        if orchestrator is None:
            return []
        own = _command(orchestrator)
        forked = [pid for pid in children(orchestrator) if own and _is_forked(_command(pid), own)]
        return forked + (children(server) if server is not None else [])

    def _grandchildren(self) -> list[int]:
        return [pid for worker in self._workers() for pid in descendants(worker)[1:]]


def _is_forked(command: bytes, own: bytes) -> bool:
    """True if it is a worker, which has a name of its own in a moment, but not the spawned one."""
    named = command.startswith(b"mporch: ") and not command.startswith(_SPAWNED)
    return command == own or named


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _has_died(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(_DEATH_WITHIN_MS))
