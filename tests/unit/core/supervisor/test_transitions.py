"""The two tables of states: what they say, and that docs/lifecycle.md says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.core.supervisor.transitions import (
    ACTIVE,
    ENDED,
    JOB_TABLE,
    WORKER_TABLE,
    IllegalEvent,
    State,
    Step,
    end_step,
    next_state,
    worst,
)

DOCUMENT = Path(__file__).parents[4] / "docs" / "lifecycle.md"


def documented(heading: str) -> dict[tuple[State, Step], State]:
    """Read the first table under a heading of the document."""
    section = DOCUMENT.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\|.*\|$", section, re.MULTILINE)
    ]
    steps = [Step(name) for name in rows[0][1:]]
    return {
        (State(reorder[0]), step): State(cell)
        for reorder in rows[2:]
        for step, cell in zip(steps, reorder[1:], strict=True)
        if cell
    }


@pytest.mark.parametrize(
    ("heading", "table"), [("A worker", WORKER_TABLE), ("A job", JOB_TABLE)], ids=["worker", "job"]
)
def test_the_document_shows_the_table_of_the_code(heading, table):
    assert documented(heading) == dict(table)


@pytest.mark.parametrize("table", [WORKER_TABLE, JOB_TABLE], ids=["worker", "job"])
def test_nothing_leads_out_of_a_final_state_and_every_other_state_leads_to_one(table):
    assert not {state for state, _ in table} & ENDED
    reached = set(ENDED)
    while more := {state for (state, _), target in table.items() if target in reached} - reached:
        reached |= more
    assert {state for state, _ in table} <= reached


@pytest.mark.parametrize("table", [WORKER_TABLE, JOB_TABLE], ids=["worker", "job"])
def test_every_step_that_is_not_in_the_table_is_an_error_that_names_who_and_what(table):
    for state in State:
        for step in Step:
            if (state, step) in table:
                assert next_state(table, state, step, who="x") is table[state, step]
            else:
                with pytest.raises(IllegalEvent, match=rf"^job x is {state.value}: .*{step.value}"):
                    next_state(table, state, step, who="job x")


def test_a_state_is_pending_active_or_final():
    assert {State.PENDING} | ACTIVE | ENDED == set(State)


def test_the_step_to_a_final_state_leads_there():
    for state in ENDED - {State.SKIPPED}:
        assert JOB_TABLE[State.DRAINING, end_step(state)] is state


def test_the_gravest_end_wins():
    order = [State.SUCCEEDED, State.TERMINATED, State.KILLED, State.TIMED_OUT, State.FAILED]
    for n in range(1, len(order) + 1):
        assert worst(order[:n]) is order[n - 1]
