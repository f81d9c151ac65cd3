"""The judge of durable rounds condemns histories that went wrong, and those that prove nothing."""

from __future__ import annotations

import dataclasses

import pytest

from .resumed_checker import History, judge

MADE = set(range(100))
DEAD = {5, 18, 31}
GOOD = History(
    expected=MADE - DEAD,
    letters=DEAD,
    delivered={"done": sorted(MADE - DEAD)},
    dead=sorted(DEAD),
    kills=5,
    wanted=5,
    at_work=3,
    exit_code=3,
)


def forged(**changes):
    return judge(dataclasses.replace(GOOD, **changes))


def test_a_good_history_is_good():
    assert judge(GOOD).problems == ()


@pytest.mark.parametrize(
    ("forgery", "found"),
    [
        ({"delivered": {"done": sorted(MADE - DEAD)[1:]}}, (1, 0, 0)),
        ({"delivered": {"done": [*sorted(MADE - DEAD), 7]}}, (0, 1, 0)),
        ({"delivered": {"done": [*sorted(MADE - DEAD), 5]}}, (0, 0, 1)),
        ({"delivered": {"left": sorted(MADE - DEAD), "right": []}}, (97, 0, 0)),
        ({"dead": [5, 18]}, (1, 0, 0)),
        ({"dead": [5, 18, 31, 31]}, (0, 1, 0)),
        ({"dead": [5, 18, 31, 7]}, (0, 0, 1)),
        ({"delivered": {"done": []}, "dead": []}, (100, 0, 0)),
    ],
    ids=[
        "one lost",
        "one doubled",
        "a dead one delivered",
        "nothing in one of two",
        "a letter lost",
        "a letter doubled",
        "a letter of an item that is delivered",
        "empty",
    ],
)
def test_what_is_lost_doubled_or_unexpected_is_counted_and_condemned(forgery, found):
    verdict = forged(**forgery)
    assert (verdict.lost, verdict.doubled, verdict.unexpected) == found
    assert verdict.problems


@pytest.mark.parametrize(
    "forgery",
    [
        {"kills": 4},
        {"at_work": 1},
        {"exit_code": None},
        {"exit_code": 0},
        {"exit_code": 1},
        {"complaints": ("left behind",)},
        {"expected": set(), "delivered": {"done": []}},
    ],
    ids=["too few", "too few at work", "hung", "no letters", "failed", "left behind", "no items"],
)
def test_a_round_that_hung_failed_or_proves_nothing_is_condemned(forgery):
    assert forged(**forgery).problems
