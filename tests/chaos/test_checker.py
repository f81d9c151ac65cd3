"""The judge condemns every history that went wrong, and those that prove nothing."""

from __future__ import annotations

import dataclasses

import pytest

from .chaos_targets import outputs
from .checker import History, judge

MADE = list(range(300))
ALL = [f"{n}.{k}" for n in MADE for k in range(outputs(n))]
GOOD = History(made=MADE, delivered=ALL, killed=50, wanted=50, in_the_midst=20, exit_code=0)
LETTERS = dataclasses.replace(
    GOOD,
    delivered=[name for name in ALL if name not in ("2.0", "2.1", "7.0")],
    dead_inputs=[0, 2],
    dead_names=["7.0"],
    exit_code=3,
)


@pytest.mark.parametrize("history", [GOOD, LETTERS], ids=["all delivered", "dead letters"])
def test_a_good_history_is_good_in_whatever_order_it_came(history):
    assert judge(history).good
    assert judge(dataclasses.replace(history, delivered=history.delivered[::-1])).good


@pytest.mark.parametrize(
    ("forgery", "found"),
    [
        ({"delivered": ALL[:-1]}, {"lost": 1}),
        ({"delivered": ALL[1:]}, {"lost": 1}),
        ({"delivered": [*ALL, ALL[5]]}, {"doubled": 1}),
        ({"delivered": [*ALL, ALL[5], ALL[5]]}, {"doubled": 2}),
        ({"delivered": [*ALL, "9999.0"]}, {"invented": 1}),
        ({"delivered": [*ALL, "3.0"]}, {"invented": 1}),
        ({"delivered": [*ALL[1:], "1.7"]}, {"lost": 1, "invented": 1}),
        ({"made": [*MADE, 301]}, {"lost": 1}),
        ({"dead_names": [ALL[5]], "exit_code": 3}, {"doubled": 1}),
        ({"dead_inputs": [4], "exit_code": 3}, {"doubled": 1}),
        ({"dead_inputs": [400], "exit_code": 3}, {"invented": 2}),
    ],
    ids=[
        "the last lost",
        "the first lost",
        "one doubled",
        "one tripled",
        "one of no source",
        "one of an item that gives none",
        "one instead of another",
        "one made and gone",
        "one delivered and dead",
        "one dead whose output came",
        "a dead one of no source",
    ],
)
def test_what_is_lost_doubled_or_invented_is_counted_and_condemned(forgery, found):
    verdict = judge(dataclasses.replace(GOOD, **forgery))
    counted = {"lost": verdict.lost, "doubled": verdict.doubled, "invented": verdict.invented}
    assert {what: n for what, n in counted.items() if n} == found
    assert not verdict.good


@pytest.mark.parametrize(
    "forgery",
    [
        {"dead_names": ["7.0", "7.0"]},
        {"dead_inputs": [0, 2, 2]},
        {"dead_names": ["7.0", "2.0"]},
    ],
    ids=["a name", "an input", "an output of a dead input"],
)
def test_what_is_dead_twice_is_doubled(forgery):
    assert judge(dataclasses.replace(LETTERS, **forgery)).doubled == 1


def test_more_dead_than_killed_are_innocent_victims():
    verdict = judge(dataclasses.replace(LETTERS, killed=2, wanted=2, in_the_midst=2))
    assert verdict.innocent == 1
    assert not verdict.good


@pytest.mark.parametrize(
    ("forgery", "problem"),
    [
        ({"killed": 49}, "only 49 of 50 killed: it proves nothing"),
        ({"in_the_midst": 4}, "only 4 killed in the midst: it proves nothing"),
        ({"exit_code": None}, "it hung"),
        ({"exit_code": 1}, "exit code 1 with 0 dead letters"),
        ({"exit_code": 3}, "exit code 3 with 0 dead letters"),
    ],
    ids=["too few", "too few in the midst", "hung", "failed", "letters that are not there"],
)
def test_a_round_that_hung_failed_or_proves_nothing_is_condemned(forgery, problem):
    assert judge(dataclasses.replace(GOOD, **forgery)).problems == (problem,)


def test_an_empty_history_is_no_good_one():
    nothing = History(made=[], delivered=[], killed=0, wanted=50, in_the_midst=0, exit_code=0)
    assert len(judge(nothing).problems) == 2
