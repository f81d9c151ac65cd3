"""Limits of this process's control groups: memory, processors, processes. Linux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

__all__ = ["Allowance", "cpu_stat_file", "read_allowance"]

_UNLIMITED = 1 << 60
"""Version 1 writes the largest multiple of a page for no limit."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """The least of what the groups from this process's own up to the root allow; None is no limit.

    `version` is 0 where there are no control groups to be seen.
    """

    version: int = 0
    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = None


def read_allowance(proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> Allowance:
    """Return what the groups of this process allow."""
    if (paths := _paths(proc)) is None:
        return Allowance()
    if (root / "cgroup.controllers").exists():
        own = list(_upwards(root, paths.get("", "/")))
        return Allowance(
            version=2,
            memory_bytes=_whole(_least(_number(group / "memory.max") for group in own)),
            cpus=_least(_quota_v2(group) for group in own),
            processes=_whole(_least(_number(group / "pids.max") for group in own)),
        )
    if not any((root / name).is_dir() for name in ("memory", "cpu", "pids")):
        return Allowance()
    memory, cpu, pids = (
        list(_upwards(root / name, paths.get(name, "/"))) for name in ("memory", "cpu", "pids")
    )
    return Allowance(
        version=1,
        memory_bytes=_whole(_least(_number(group / "memory.limit_in_bytes") for group in memory)),
        cpus=_least(_quota_v1(group) for group in cpu),
        processes=_whole(_least(_number(group / "pids.max") for group in pids)),
    )


def cpu_stat_file(proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> Path | None:
    """Return the file in which the group of this process tells what it has used; None: none is."""
    if (paths := _paths(proc)) is None:
        return None
    if (root / "cgroup.controllers").exists():
        own = _upwards(root, paths.get("", "/"))
    else:
        own = _upwards(root / "cpu", paths.get("cpu", "/"))
    files = (group / "cpu.stat" for group in own)
    return next((file for file in files if file.is_file()), None)


def _paths(proc: Path) -> dict[str, str] | None:
    """Return the paths of this process' groups by their controllers; None if there are none."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """Yield the directories of a group and of those it is in; a container may see only some."""
    own = PurePosixPath(path.lstrip("/"))
    for part in (own, *own.parents):
        if (root / part).is_dir():
            yield root / part


def _least(values: Iterator[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _number(file: Path) -> float | None:
    """Return the limit in a file; None if there is no file, or no limit in it."""
    try:
        value = int(file.read_text())
    except (OSError, ValueError):
        return None
    return value if 0 <= value < _UNLIMITED else None


def _quota_v1(group: Path) -> float | None:
    quota = _number(group / "cpu.cfs_quota_us")
    period = _number(group / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
