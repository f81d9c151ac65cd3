"""Readings of sensors on their way into a database."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

Reading = tuple[int, str, float]
SENSORS = ["attic", "cellar", "garden"]


def create(path: str) -> None:
    """Make an empty database, in place of an older one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE readings"
            " (number INTEGER PRIMARY KEY, sensor TEXT, celsius REAL, worker TEXT, batch INTEGER)"
        )


def readings(total: int) -> Iterator[Reading]:
    """Yield readings, numbered from 0."""
    for number in range(total):
        yield number, SENSORS[number % len(SENSORS)], round(20 + 5 * math.sin(number / 100), 3)


class Store:
    """Writes batches; each worker makes one object, which holds one connection.

    A batch that is written twice, because its worker died in between, replaces itself.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        self._worker = multiprocessing.current_process().name
        self._database = sqlite3.connect(path, timeout=timeout_s)
        self._batches = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()
        print(f"{self._batches} batches written, connection closed")

    def __call__(self, batch: list[Reading]) -> None:
        """Write a batch in one transaction."""
        rows = [(*reading, self._worker, self._batches) for reading in batch]
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?)", rows
            )
        self._batches += 1


def report(path: str) -> None:
    """Print the mean of each sensor."""
    with sqlite3.connect(path) as database:
        means = (
            "SELECT sensor, count(*), avg(celsius) FROM readings GROUP BY sensor ORDER BY sensor"
        )
        for sensor, count, celsius in database.execute(means):
            print(f"{sensor:<8} {count:>6} readings, {celsius:.2f} °C on average")
