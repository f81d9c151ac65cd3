"""Items that a job has begun before it is killed: a file of the run's directory.

Its workers and their successors add a line with the item's id each time that they begin with one.
An item that comes again, after a death or a failure, is the same item.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_regular

__all__ = ["Begun", "BegunFile", "read_begun"]


class Begun:
    """How often each item was begun with; the items are numbered from 1, as they came first."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many different items there are."""
        return len(self._numbers)

    def add(self, item_id: str) -> tuple[int, int]:
        """The job begins with an item: which one it is, and for which time."""
        number = self._numbers.setdefault(item_id, len(self._numbers) + 1)
        self._times[item_id] = times = self._times.get(item_id, 0) + 1
        return number, times

    def times(self, number: int) -> int:
        """Return how often the job has begun with its n-th item."""
        return next((self._times[i] for i, n in self._numbers.items() if n == number), 0)


class BegunFile:
    """Called in the child. Adds to the file of a job, and knows what others have added.

    Raises OSError if there can be none.
    """

    def __init__(self, directory: Path, job: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._fd = open_regular(_path(directory, job), flags)
        self._begun = Begun()
        self._known = 0

    def add(self, item_ids: Iterable[str]) -> list[tuple[int, int]]:
        """The job begins with these items at once: see `Begun.add`."""
        own = "".join(f"{item_id}\n" for item_id in item_ids).encode("ascii")
        os.write(self._fd, own)
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        others = os.pread(self._fd, end - len(own) - self._known, self._known)
        self._known = end
        for line in _lines(others):
            self._begun.add(line)
        return [self._begun.add(line) for line in _lines(own)]


def read_begun(directory: Path, job: str) -> Begun:
    """Called in the parent. Return what the job has begun with in the run.

    Raises RunDirectoryError.
    """
    begun, path = Begun(), _path(directory, job)
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            for line in _lines(file.read()):
                begun.add(line)
    except FileNotFoundError:  # no worker of it has come so far
        pass
    except OSError as error:
        raise RunDirectoryError.of(path, error) from error
    return begun


def _path(directory: Path, job: str) -> Path:
    return directory / f"begun-{job}"


def _lines(text: bytes) -> list[str]:
    return text.decode("ascii", "replace").splitlines()
