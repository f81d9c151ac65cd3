"""Keeps what comes onto queues, for a child to read: see `recorded`. Called in the parent.

The file `recorded` in the run's directory has for each piece a line of JSON that says which items
of what chunk they are, then the chunk as its producer sent it, which is never unpickled here.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Set
from pathlib import Path

from orchestrator.core.broker.observers import Tap
from orchestrator.core.durable.records import Tapped
from orchestrator.core.protocol.events import whole
from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_directory, open_new
from orchestrator.runlog.jsonl import write_whole

__all__ = ["RECORDED_NAME", "Recorder"]

RECORDED_NAME = "recorded"


class Recorder:
    """Writes what its `tap` notes of `queues`. Raises RunDirectoryError if it cannot begin."""

    def __init__(self, directory: Path, queues: Set[str]) -> None:
        self.tap = Tap(queues)
        self._path = directory / RECORDED_NAME
        self._unwritten: deque[Tapped] = deque()
        try:
            with open_directory(directory) as here:
                self._fd = open_new(RECORDED_NAME, dir_fd=here)
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error

    def record(self) -> None:
        """Write all there is; after DiskFullError it can be called again, and nothing is twice.

        Raises RunDirectoryError.
        """
        self._unwritten += self.tap.take()
        while self._unwritten:
            self._write(self._unwritten[0])
            self._unwritten.popleft()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write(self, piece: Tapped) -> None:
        head = {
            "queue": piece.queue,
            "packed": piece.packed,
            "start": piece.start,
            "stop": piece.stop,
            "size": len(piece.blob),
        }
        try:
            write_whole(self._fd, json.dumps(head).encode("ascii") + b"\n", whole(piece.blob))
        except OSError as error:
            raise RunDirectoryError.of(self._path, error) from error
