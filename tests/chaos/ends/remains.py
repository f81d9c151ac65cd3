"""What is left of a run, told from outside by its tag.

The tag stands in the environment of each of its processes, or at least in its command line. What
they held is known by numbers of the kernel's: a socket or a pipe that was theirs and is still held
by anybody is left over.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GONE_WITHIN_S = 2.0
SHM = Path("/dev/shm")
MAKERS = ("psm_", "sem.", "pymp", "mporch")
"""What the names of segments begin with that multiprocessing or mporch can have made."""

NETS = ("unix", "tcp", "tcp6", "udp", "udp6")
PROC = Path("/proc")

Kernel = tuple[int, int]
"""A device and an inode: one socket, pipe, file or memory segment."""


@dataclass(kw_only=True)
class Seen:
    """What a run had at the moments it was looked at."""

    processes: set[tuple[int, str]] = field(default_factory=set)
    """(pid, start time): a pair is never given again."""
    sockets: set[Kernel] = field(default_factory=set)
    others: set[Kernel] = field(default_factory=set)
    """Pipes, memory segments and files without a name."""
    segments: set[str] = field(default_factory=set)
    """Names in /dev/shm that were there before the run."""

    def look(self, tag: str) -> None:
        """Note all that the processes of the run have now."""
        own = set(_held(os.getpid()))
        for pid in tagged(tag):
            if started := _started(pid):
                self.processes.add((pid, started))
            for kernel, mode in _held(pid):
                if (kernel, mode) not in own:
                    (self.sockets if stat.S_ISSOCK(mode) else self.others).add(kernel)


def tagged(tag: str) -> list[int]:
    """The processes that carry the tag."""
    mark = tag.encode()
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if mark in (PROC / str(pid) / "environ").read_bytes() or (
                mark in (PROC / str(pid) / "cmdline").read_bytes()
            ):
                found.append(pid)
    return found


def left(tag: str, seen: Seen, folder: Path) -> list[str]:
    """All that is left of the run in that folder now, in words."""
    return [
        *(f"process {_told(pid)}" for pid in tagged(tag)),
        *(f"process {_told(pid)}" for pid, at in seen.processes if _started(pid) == at),
        *(f"descriptor {kernel} of {_told(pid)}" for pid, kernel in _still_held(seen)),
        *(f"socket {inode}" for inode in _inodes() & {inode for _, inode in seen.sockets}),
        *(f"segment {name}" for name in _new_segments(seen)),
        *(f"file {path.relative_to(folder)}" for path in (folder / "tmp").rglob("*")),
        *(f"file {path.relative_to(folder)}" for path in (folder / "run").glob(".*draft*")),
    ]


def gone_after_s(tag: str, seen: Seen, folder: Path, within_s: float) -> tuple[float, list[str]]:
    """How long it took until nothing was left, and what was left last if that was too long."""
    began, last = time.monotonic(), list[str]()
    while True:
        looked = time.monotonic()
        remains = left(tag, seen, folder)
        if not remains or looked - began >= within_s:
            return looked - began, remains or last
        last = remains if looked - began > GONE_WITHIN_S else []
        time.sleep(0.02)


def segments() -> set[str]:
    """The names in /dev/shm that can be a run's; others on the machine have theirs there too."""
    return {path.name for path in SHM.iterdir() if path.name.startswith(MAKERS)}


def _new_segments(seen: Seen) -> Iterator[str]:
    """Segments that have come with the run and that no living process has mapped or open.

    Those that somebody has belong to others on the machine, or their holder is told of anyway.
    """
    new = segments() - seen.segments
    if new:
        held = {path for pid in _pids() for path in _mapped(pid)}
        yield from (name for name in new if f"{SHM}/{name}" not in held)


def _still_held(seen: Seen) -> Iterator[tuple[int, Kernel]]:
    wanted = seen.sockets | seen.others
    for pid in _pids():
        if pid != os.getpid():
            yield from ((pid, kernel) for kernel, _ in _held(pid) if kernel in wanted)


def _held(pid: int) -> Iterator[tuple[Kernel, int]]:
    """What a process has open and nobody can open by a name."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                about = entry.stat()
                nameless = stat.S_ISREG(about.st_mode) and about.st_nlink == 0
                if nameless or stat.S_ISSOCK(about.st_mode) or stat.S_ISFIFO(about.st_mode):
                    yield (about.st_dev, about.st_ino), about.st_mode


def _mapped(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "maps").read_text().splitlines():
            if "/dev/shm/" in line:
                yield line[line.index("/") :]
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield str(Path(entry.path).readlink())


def _inodes() -> set[int]:
    """The inodes of all sockets that the kernel knows, whoever has them."""
    found = set()
    for net in NETS:
        column = 6 if net == "unix" else 9
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / net).read_text().splitlines()[1:]:
                found.add(int(line.split()[column]))
    return found - {0}


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir(PROC) if entry.name.isdigit()]


def _started(pid: int) -> str:
    """When it was started; nothing if it is gone, or is dead and only init has to note that."""
    with contextlib.suppress(OSError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "" if fields[:2] == ["Z", "1"] else fields[19]
    return ""


def _told(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        status = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return f"{pid} (parent {status[1]}, {status[0]}): {words.replace(chr(0), ' ')[:120]}"
    return str(pid)
