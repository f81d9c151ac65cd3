"""docs/faults.md has a row for each fault, with tests that are there, or the reason why not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = {"A": 16, "B": 12, "C": 9, "D": 12, "E": 7, "F": 9, "G": 6, "H": 7, "I": 2, "J": 10}
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs/faults.md").read_text().splitlines()
    if re.match(r"\| [A-J]\d", line)
]
AT_LEAST = 60


def _tests_of(cell: str) -> list[str]:
    return re.findall(r"`(tests/[^`]*::[^`]*)`", cell)


def test_every_fault_has_its_row_in_order():
    wanted = [f"{letter}{n}" for letter, most in COUNTS.items() for n in range(1, most + 1)]
    assert [row[0] for row in ROWS] == wanted
    assert all(len(row) == 4 and all(row) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_tests_that_are_there_or_says_why_it_has_none(row):
    tests = _tests_of(row[3])
    assert bool(tests) != row[3].startswith("not automated: ")
    for test in tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, test


def test_most_faults_are_automated():
    assert sum(bool(_tests_of(row[3])) for row in ROWS) >= AT_LEAST
