"""docs/samples.md has every column of every row, in its order, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.core.samples import (
    JobSample,
    QueueSample,
    Service,
    SlowItem,
    System,
    WorkerSample,
)

PAGE = (Path(__file__).parents[3] / "docs" / "samples.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("jobs", JobSample),
        ("queues", QueueSample),
        ("workers", WorkerSample),
        ("system", System),
        ("service", Service),
        ("slowest", SlowItem),
    ],
)
def test_the_columns_are_those_of_the_rows(heading: str, row: type) -> None:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert named == list(row.__struct_fields__)  # type: ignore[attr-defined]
