"""Processes that could not be killed: as they are told, and which were told already. Linux."""

from __future__ import annotations

import mmap
import pwd
from collections.abc import Iterable
from pathlib import Path

from orchestrator.core.protocol.notifications import Survivor
from orchestrator.engine.node.descendants import Kin, look_up

__all__ = ["Told", "survivors"]

_MOST = 100


class Told:
    """The processes of which the orchestrator has told that they could not be killed.

    A page that is shared with the guard, which tells of all others.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def add(self, found: Iterable[Kin]) -> None:
        """Called in the orchestrator."""
        for kin in found:
            words = b"%d %d\n" % (kin.pid, kin.started)
            if self._page.tell() + len(words) <= len(self._page):
                self._page.write(words)

    def pids(self) -> frozenset[int]:
        """Called in the guard: those of them that are still there."""
        found = set()
        for line in self._page[:].rstrip(b"\0").splitlines():
            pid, started = map(int, line.split())
            kin = look_up(pid)
            if kin is not None and kin.started == started:
                found.add(pid)
        return frozenset(found)


def survivors(found: Iterable[Kin]) -> tuple[Survivor, ...]:
    """Return the processes as facts have them, of very many (they flee by forking) the first."""
    return tuple(
        Survivor(pid=kin.pid, command=kin.name, user=_user_of(kin.pid))
        for kin in sorted(found, key=lambda kin: kin.pid)[:_MOST]
    )


def _user_of(pid: int) -> str:
    """Return whose process it is, by name if the system has one; empty if it is gone."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
