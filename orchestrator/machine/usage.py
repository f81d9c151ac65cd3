"""Usage of processors and memory: this process, its machine and its control group. Linux."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

from orchestrator.machine.cgroups import cpu_stat_file

__all__ = ["Usage", "UsageMeter"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READ = 16384
_IDLE = (3, 4)
"""The columns `idle` and `iowait` of `cpu` in /proc/stat."""
_GUEST = 8
"""From here on time is counted that is in an earlier column, too."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of processors and bytes of memory; None is what the system does not tell.

    `cpu_s` and `rss` are this process' own; `busy_s` and `idle_s` those of all processors together;
    `group_s` is what the control group has used, `throttled_s` how long its quota has stopped it.
    """

    cpu_s: float
    rss: int
    busy_s: float
    idle_s: float
    group_s: float | None = None
    throttled_s: float | None = None
    available: int | None = None


class UsageMeter:
    """Reads the usage from files of the kernel that stay open."""

    def __init__(self, proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> None:
        self._memory = _opened(proc / "self" / "statm")
        self._machine = _opened(proc / "stat")
        self._available = _opened(proc / "meminfo")
        group = cpu_stat_file(proc, root)
        self._group = _opened(group) if group is not None else -1

    def read(self) -> Usage:
        """Return the usage until now."""
        pages = _read(self._memory).split()
        busy, idle = _processors(_read(self._machine))
        group = _fields(_read(self._group))
        available = _fields(_read(self._available)).get("MemAvailable:")
        return Usage(
            cpu_s=time.process_time(),
            rss=int(pages[1]) * _PAGE if len(pages) > 1 else 0,
            busy_s=busy,
            idle_s=idle,
            group_s=_seconds(group.get("usage_usec"), 1e6),
            throttled_s=_seconds(group.get("throttled_usec"), 1e6)
            or _seconds(group.get("throttled_time"), 1e9),
            available=None if available is None else available * 1024,
        )

    def close(self) -> None:
        """Close the files."""
        for fd in (self._memory, self._machine, self._available, self._group):
            if fd >= 0:
                os.close(fd)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _read(fd: int) -> str:
    """Return the file's text as it is now; nothing if it cannot be read."""
    if fd >= 0:
        with contextlib.suppress(OSError):
            return os.pread(fd, _READ, 0).decode("ascii", "replace")
    return ""


def _processors(stat: str) -> tuple[float, float]:
    """Return for how long all processors were busy, and idle."""
    first = stat.partition("\n")[0].split()
    if not first or first[0] != "cpu":
        return 0.0, 0.0
    ticks = [int(field) for field in first[1:] if field.isdigit()]
    idle = sum(ticks[at] for at in _IDLE if at < len(ticks))
    return (sum(ticks[:_GUEST]) - idle) / _TICKS, idle / _TICKS


def _fields(text: str) -> dict[str, int]:
    """Return the numbers of a file of lines, by their names."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        number = rest.split()
        if number and number[0].isdigit():
            found[name] = int(number[0])
    return found


def _seconds(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit
