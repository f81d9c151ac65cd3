"""Steps that pass files on: each a process, started when what it needs is done."""

from __future__ import annotations

import csv
import math
from pathlib import Path


def collect(path: str) -> None:
    """Write a reading for each hour of a day."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["hour", "celsius"])
        for hour in range(24):
            rows.writerow([hour, round(15 - 8 * math.cos((hour - 3) / 24 * math.tau), 1)])


def extreme(readings: str, path: str, *, warmest: bool) -> None:
    """Write a line on the warmest or the coldest hour."""
    with Path(readings).open(newline="") as file:
        hours = sorted(csv.DictReader(file), key=lambda row: float(row["celsius"]))
    found, word = (hours[-1], "warmest") if warmest else (hours[0], "coldest")
    line = f"{word}: {found['celsius']} degrees at {found['hour']} o'clock\n"
    Path(path).write_text(line)


def report(parts: list[str], path: str) -> None:
    """Put the lines together, and print them."""
    text = "".join(Path(part).read_text() for part in parts)
    Path(path).write_text(text)
    print(text, end="")


def tidy(parts: list[str]) -> None:
    """Remove what was only on the way."""
    for part in parts:
        Path(part).unlink(missing_ok=True)
