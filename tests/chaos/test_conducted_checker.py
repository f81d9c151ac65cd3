"""The judge of conducted rounds condemns what went wrong, and what proves nothing."""

from __future__ import annotations

import dataclasses
import random

import pytest

from .campaign import Total, Wanted
from .conducted_checker import Delivery, History, judge
from .conducted_targets import outputs
from .points import ELSEWHERE, ROLES, Score

MADE = frozenset(range(80))
NAMES = [f"{n}.{k}" for n in sorted(MADE) for k in range(outputs(n))]
DEAD, SEALED, ALIVE, ANOTHER = 7, 8, 9, 10
ALL = [Delivery(name=name, token="1.1", pid=ALIVE) for name in NAMES]
GOOD = History(
    made=MADE,
    items=80,
    delivered=ALL,
    ends={DEAD: "w.item_ended", SEALED: "w.pull_sent"},
    wanted=2,
    exit_code=0,
)


def line(at: int, *, pid: int, token: str = "1.1") -> Delivery:
    """The line at that place once more, from another execution."""
    return dataclasses.replace(ALL[at], pid=pid, token=token)


def test_a_good_history_is_good_in_whatever_order_it_came():
    assert judge(GOOD).good
    assert judge(dataclasses.replace(GOOD, delivered=ALL[::-1])).good


def test_who_was_killed_before_it_could_say_that_it_was_done_may_have_written_the_same():
    verdict = judge(dataclasses.replace(GOOD, delivered=[*ALL, line(3, pid=DEAD)]))
    assert verdict.good
    assert verdict.repeated == 1


def test_who_was_killed_when_it_had_said_all_is_counted_as_proof():
    delivered = [dataclasses.replace(ALL[0], pid=SEALED), *ALL[1:]]
    verdict = judge(dataclasses.replace(GOOD, delivered=delivered))
    assert verdict.good
    assert verdict.sealed == 1


@pytest.mark.parametrize(
    ("delivered", "found"),
    [
        (ALL[:-1], {"lost": 1}),
        (ALL[3:], {"lost": 3}),
        ([], {"lost": len(ALL)}),
        ([*ALL, line(5, pid=ANOTHER)], {"doubled": 1}),
        ([*ALL, line(5, pid=ALIVE)], {"doubled": 1}),
        ([*ALL, line(5, pid=SEALED)], {"doubled": 1}),
        ([*ALL, line(5, pid=DEAD), line(5, pid=DEAD)], {"doubled": 1}),
        ([*ALL, line(5, pid=DEAD, token="2.1")], {"doubled": 1}),
        ([*ALL, line(5, pid=DEAD, token="1.2")], {"doubled": 1}),
        ([*ALL, line(5, pid=ANOTHER), line(5, pid=SEALED)], {"doubled": 2}),
        ([*ALL, Delivery(name="80.0", token="1.1", pid=ALIVE)], {"unexpected": 1}),
        ([*ALL, Delivery(name="2.1", token="1.1", pid=ALIVE)], {"unexpected": 1}),
        ([*ALL[1:], Delivery(name="0.0", token="1.1", pid=ALIVE)], {"lost": 1, "unexpected": 1}),
    ],
    ids=[
        "the last lost",
        "the first three lost",
        "nothing came",
        "again from a process that lived on",
        "twice from one process",
        "again after its process had said that it was done",
        "twice from a process that died",
        "made twice by the first stage",
        "made twice by the second",
        "three times",
        "of no number",
        "of a number that gives one",
        "one instead of another",
    ],
)
def test_what_is_lost_doubled_or_unexpected_is_counted_and_condemned(delivered, found):
    verdict = judge(dataclasses.replace(GOOD, delivered=delivered))
    counted = {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "unexpected": verdict.unexpected,
    }
    assert {what: n for what, n in counted.items() if n} == found
    assert not verdict.good


@pytest.mark.parametrize(
    ("forgery", "problem"),
    [
        ({"wanted": 3}, "only 2 of 3 killed: it proves nothing"),
        ({"items": 81}, "only 80 of 81 made: it proves nothing"),
        ({"exit_code": None}, "it hung"),
        ({"exit_code": 1}, "exit code 1"),
        ({"exit_code": 3}, "exit code 3"),
    ],
)
def test_a_round_that_hung_failed_or_proves_nothing_is_condemned(forgery, problem):
    assert judge(dataclasses.replace(GOOD, **forgery)).problems == (problem,)


WANTED = Wanted(kills=200, torn=20, quota=2, items=100)


def _total(**changed: int) -> Total:
    """A campaign that proves enough, but for what is changed."""
    score = Score(2, random.Random(0))
    score.hits.update({(role, point): 2 for role in ROLES for point in ROLES[role]})
    score.hits["sink", ELSEWHERE] = 20
    score.hits.update({tuple(where.split()): n for where, n in changed.items() if " " in where})
    return Total(score=score, made=changed.get("made", 100))


def test_a_campaign_with_enough_of_everything_has_no_shortcomings():
    assert _total().shortcomings(WANTED) == []


@pytest.mark.parametrize(
    ("changed", "wanted", "problem"),
    [
        ({"made": 99}, {}, "only 99 of 100 made"),
        ({"sink w.pull_sent": -1}, {}, "1 missing at sink w.pull_sent"),
        ({"source w.commit_torn": -2}, {}, "2 missing at source w.commit_torn"),
        ({"first w.item_ended": 100, "sink elsewhere": -20}, {"torn": 100}, "only 50 of 100 torn"),
        ({}, {"kills": 1000}, "only 210 of 1000 killed"),
    ],
)
def test_a_campaign_that_proves_too_little_says_of_what(changed, wanted, problem):
    assert _total(**changed).shortcomings(dataclasses.replace(WANTED, **wanted)) == [problem]


def test_where_most_are_missing_most_are_sent():
    score = Score(100, random.Random(0))
    score.hits.update({("sink", point): 100 for point in ROLES["sink"]})
    score.hits["sink", "w.pull_torn"] = 20
    orders = [score.order("sink", ROLES["sink"]) for _ in range(50)]
    assert {order.point for order in orders} == {"w.pull_torn"}
