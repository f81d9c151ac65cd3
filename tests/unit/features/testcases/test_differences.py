"""What is told of items that are not as expected."""

import json
import pickle

import pytest

from orchestrator.features.testcases import compare_child
from orchestrator.features.testcases.compare import CaseQuestion, Dead, ExpectedItems
from orchestrator.features.testcases.compare_child import differences
from orchestrator.features.testcases.targets import stand_in
from orchestrator.worker.blocks import dump_row


def told(items, **wanted):
    ask = CaseQuestion(name="q", wanted=ExpectedItems(**wanted))
    return [
        (found.message, [f"{line.sign.value}{line.text}" for line in found.lines])
        for found in differences(ask, items)
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        {"equals": [1, 2]},
        {"in_any_order": [2, 1]},
        {"contains": [2]},
        {"each": {"$type": "int"}},
        {"count": 2},
        {"at_least": 2, "at_most": 2},
        {},
    ],
)
def test_nothing_is_told_of_what_is_as_expected(wanted):
    assert told([1, 2], **wanted) == []


@pytest.mark.parametrize(
    ("wanted", "message", "lines"),
    [
        ({"equals": [1, 3]}, "2 items, not as expected", [" 1", "-3", "+2"]),
        ({"equals": [1]}, "2 items, not as expected", [" 1", "+2"]),
        ({"equals": [0, 1, 2]}, "2 items, not as expected", ["-0", " 1", " 2"]),
        ({"equals": [2, 1]}, "these items in another order", ["+1", " 2", "-1"]),
        ({"in_any_order": [2, 3]}, "2 items: 1 missing, 1 not expected", ["-3", "+1"]),
        ({"contains": [3]}, "2 items, of which 1 missing", ["-3", " 1", " 2"]),
        ({"each": 1}, "1 of 2 items unlike what each is to be", ["-1", "+2"]),
        ({"count": 3}, "2 items, expected 3", [" 1", " 2"]),
        ({"at_least": 3}, "2 items, expected at least 3", [" 1", " 2"]),
        ({"at_most": 1}, "2 items, expected at most 1", [" 1", " 2"]),
    ],
)
def test_a_difference_is_told_item_by_item(wanted, message, lines):
    assert told([1, 2], **wanted) == [(message, lines)]


def test_all_that_is_asked_for_is_told():
    assert len(told([1], equals=[2], count=2, each="a")) == 3


def test_items_far_from_a_difference_are_left_out():
    ((_, lines),) = told(list(range(100)), equals=[n for n in range(100) if n != 50])
    assert lines == [" …", " 48", " 49", "+50", " 51", " 52"]


def test_no_more_is_shown_than_anybody_reads():
    ((_, lines),) = told(list(range(1000)), equals=[])
    assert len(lines) <= 60
    ((_, lines),) = told(list(range(1000)), count=3)
    assert lines[-1] == " … 990 more"


def test_an_item_whose_repr_raises_is_named():
    class Rude:
        def __repr__(self):
            raise RuntimeError("no")

    assert told([Rude()], count=0)[0][1] == [" <Rude whose repr raises RuntimeError>"]


class Handle(list):
    put = list.append


@pytest.mark.parametrize("taken", range(5))
def test_a_stand_in_gives_all_its_values_whatever_it_takes(taken):
    a, b = Handle(), Handle()
    stand_in(iter(range(taken)), {"a": [1, 2, None], "b": []}, a=a, b=b)
    assert (a, b) == ([1, 2, None], [])


def test_a_stand_in_gives_the_value_of_an_item_when_it_comes():
    a, seen = Handle(), []

    def items():
        for n in range(3):
            seen.append(list(a))
            yield n

    stand_in(items(), {"a": ["x", "y", "z"]}, a=a)
    assert seen == [[], ["x"], ["x", "y"]]


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (60, 70), (99, 100), (5, 5)])
def test_recorded_items_are_read_from_every_kind_of_chunk(start, stop, tmp_path):
    items = [{"at": at} for at in range(100)]
    chunks = [
        (False, pickle.dumps(items)),
        (True, pickle.dumps(list(map(pickle.dumps, items)))),
        (True, pickle.dumps(dump_row(items))),
    ]
    path = tmp_path / "recorded"
    with path.open("wb") as file:
        for packed, blob in chunks:
            head = {"queue": "q", "packed": packed, "start": start, "stop": stop, "size": len(blob)}
            file.write(json.dumps(head).encode() + b"\n" + blob)
    assert compare_child._recorded(str(path)) == {"q": items[start:stop] * 3}


def test_dead_items_are_read_from_blocks(tmp_path):
    path = tmp_path / "chunk"
    path.write_bytes(pickle.dumps(dump_row([{"at": at} for at in range(100)])))
    dead = tuple(Dead(job="j", path=str(path), index=at, packed=True) for at in (99, 3))
    assert compare_child._dead(dead) == {"j": [{"at": 99}, {"at": 3}]}
