"""The files of a run's samples: lines of JSON that begin with a header, written and read again.

`samples.jsonl` has each 2**k-th sample, and k grows with each 2,400 of its lines: it stays small
however long a run takes, and covers all of it. The newest stand in `samples.0.jsonl` and
`samples.1.jsonl`, which are written in turn: a run that is killed has its last half second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.core.samples import (
    FORMAT,
    LARGEST,
    Header,
    Sample,
    fits,
    has_possible_numbers,
)
from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_regular

__all__ = ["RECENT_NAMES", "SAMPLES_NAME", "RunSamples", "SampleFiles", "read_samples"]

SAMPLES_NAME = "samples.jsonl"
RECENT_NAMES = ("samples.0.jsonl", "samples.1.jsonl")
LINES: Final = 2400
"""So many make `samples.jsonl` half as dense; the recent ones hold as many between them."""
_WORKERS_EVERY = 8
"""Of the lines of `samples.jsonl` every eighth has workers: at first one in two seconds."""
_RETRY_LINES = 40
_MOST_BYTES = 1 << 28
_CHUNK = 1 << 20


class SampleFiles:
    """The files of one life of a run, in its `directory`; it goes on behind those before it.

    A sample that finds no room on the disk is dropped: the log comes first. `dropped` counts them,
    and `trouble` says what was the matter, once.
    """

    def __init__(self, directory: Path, header: Header) -> None:
        self.dropped = 0
        self.trouble = ""
        self._directory = directory
        self._head = msgspec.json.encode(header) + b"\n"
        self._whole = _Appended(directory / SAMPLES_NAME, self._head, empty=False)
        self._recent: _Appended | None = None
        self._turn = _older(directory)
        self._taken = self._kept = 0
        self._every = 1
        self._waits = 0
        self._write(self._whole, b"")

    def add(self, sample: Sample) -> None:
        """Keep a sample, if there is room."""
        if self._waits:
            self._waits -= 1
            self.dropped += 1
            return
        line = msgspec.json.encode(sample) + b"\n"
        if self._taken % self._every == 0 or sample.last:
            thin = sample.last or self._kept % _WORKERS_EVERY == 0
            without = msgspec.structs.replace(sample, workers=())
            self._write(self._whole, line if thin else msgspec.json.encode(without) + b"\n")
            self._kept += 1
            if self._kept % LINES == 0:
                self._every *= 2
        if self._taken % (LINES // 2) == 0:
            self._next_recent()
        self._taken += 1
        if self._recent is not None:
            self._write(self._recent, line)

    def close(self) -> None:
        """Close them."""
        for file in (self._whole, self._recent):
            if file is not None:
                file.close()
        self._recent = None

    def _next_recent(self) -> None:
        """Begin the other one of the recent files anew."""
        if self._recent is not None:
            self._recent.close()
        path = self._directory / RECENT_NAMES[self._turn]
        self._recent = _Appended(path, self._head, empty=True)
        self._turn = 1 - self._turn

    def _write(self, file: _Appended, data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            self.dropped += 1
            self._waits = _RETRY_LINES
            if not self.trouble:
                self.trouble = f"{file.path.name}: {os.strerror(error.errno or errno.EIO)}"


class _Appended:
    """A file whose lines are whole: what could not be written is taken away again.

    `head` stands before the first line: without it a life's samples would be those of another.
    """

    def __init__(self, path: Path, head: bytes, *, empty: bool) -> None:
        self.path = path
        self._head = head
        self._fd = -1
        self._size = 0
        self._why = errno.EIO
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if empty else 0)
        try:
            self._fd = open_regular(path, flags)
            self._size = _whole_lines(self._fd, path)
        except OSError as error:
            self._why = error.errno or errno.EIO

    def write(self, data: bytes) -> None:
        if self._fd < 0:
            raise OSError(self._why, os.strerror(self._why))
        data = self._head + data
        try:
            if (n := os.pwrite(self._fd, data, self._size)) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += n
        self._head = b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _older(directory: Path) -> int:
    """Return which of the recent files is to be written first: that of the earlier samples."""
    times = [0.0, 0.0]
    for number, name in enumerate(RECENT_NAMES):
        with contextlib.suppress(OSError):
            times[number] = (directory / name).lstat().st_mtime
    return int(times[1] < times[0])


def _whole_lines(fd: int, path: Path) -> int:
    """Return the size of the file up to the end of its last whole line; cut it there."""
    size = os.fstat(fd).st_size
    if not size:
        return 0
    with path.open("rb") as file:
        end = min(size, _MOST_BYTES)  # nobody reads what is behind it
        while end:
            start = max(0, end - _CHUNK)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
    if end < size:
        os.ftruncate(fd, end)
    return end


class RunSamples(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one life of a run: its header and its samples, in their order.

    `damaged` counts lines that could not be read.
    """

    header: Header
    samples: tuple[Sample, ...]
    damaged: int = 0


def read_samples(directory: Path) -> list[RunSamples]:
    """Return the samples of each life of the run, the earliest first; nothing if none were kept.

    Lines that are cut short or damaged are left out. Raises RunDirectoryError for files of a later
    version, and if they cannot be read.
    """
    lives: dict[str, _Life] = {}
    listed = 0
    for name in (SAMPLES_NAME, *RECENT_NAMES):
        life: _Life | None = None
        for line in _lines(directory / name):
            if line.startswith(b'{"samples":'):
                life = _life_of(line, directory / name, lives)
            elif life is not None:
                life.add(line)
        listed = listed or len(lives)
    return _in_order([life.whole() for life in lives.values()], listed)


def _in_order(lives: list[RunSamples], listed: int) -> list[RunSamples]:
    """Return the lives, the earliest first; so many are in the file that has all of them.

    The clock may have jumped back between these. What that file has lost is told by it, though.
    """
    rest = sorted(lives[listed:], key=lambda life: life.header.started)
    first = lives[0].header.started if lives else ""
    earlier = [life for life in rest if life.header.started < first]
    return [*earlier, *lives[:listed], *rest[len(earlier) :]]


class _Life:
    def __init__(self, header: Header) -> None:
        self._header = header
        self._samples: dict[float, Sample] = {}
        self._damaged = 0

    def add(self, line: bytes) -> None:
        try:
            sample = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._damaged += 1
            return
        if not (fits(sample, self._header) and _is_possible(line, sample)):
            self._damaged += 1
            return
        before = self._samples.get(sample.t)
        if before is None or sample.workers:
            self._samples[sample.t] = sample

    def whole(self) -> RunSamples:
        found = tuple(self._samples[t] for t in sorted(self._samples))
        return RunSamples(header=self._header, samples=found, damaged=self._damaged)


_DECODER = msgspec.json.Decoder(Sample)


_LARGEST_OF_HEADER: Final = 1e30
"""A bound of a queue is as large as its spec says."""
_ODD_NUMBER = re.compile(rb"[0-9]{16}|[0-9][eE][-+]?[0-9]")
"""A line without one has no number that is larger or smaller; it costs little to see that."""


def _is_possible(line: bytes, record: Header | Sample, largest: float = LARGEST) -> bool:
    """True if all numbers of a record are such as a run has."""
    return _ODD_NUMBER.search(line) is None or has_possible_numbers(record, largest)


def _life_of(line: bytes, path: Path, lives: dict[str, _Life]) -> _Life | None:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if header.samples > FORMAT:
        raise RunDirectoryError(
            f"{path} was written by a later version of mporch, in format {header.samples}",
            hint="read it with that version",
        )
    if not _is_possible(line, header, _LARGEST_OF_HEADER):
        return None
    return lives.setdefault(header.started, _Life(header))


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that ends before a limit, the last one if it is whole."""
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    with open(fd, "rb") as file:  # noqa: PTH123 - the descriptor is the file
        left = _MOST_BYTES
        while line := file.readline(left):  # what has no end is read as far as the limit
            left -= len(line)
            if line.endswith(b"\n"):
                yield line
