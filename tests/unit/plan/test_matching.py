"""Items and what a case expects of them."""

from collections import Counter, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.matching import matches, unmatched


@dataclass
class Fact:
    name: str
    n: int


class Better(Fact):
    pass


class Rude:
    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("no")


Pair = namedtuple("Pair", "a b")
FACT = Fact("x", 2)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        ("a", "a"),
        (1, 1.0),
        (1.5, Decimal("1.5")),
        (3, np.int64(3)),
        (float("nan"), float("nan")),
        (None, None),
        (True, True),
        ([1, [2]], (1, [2])),
        ([1, 2], Pair(1, 2)),
        ([], ()),
        ({"a": [1]}, {"a": (1,)}),
        ({"a": 2}, Counter("aa")),
        ({1: "x"}, {1: "x"}),
        ({"$type": "Fact"}, FACT),
        ({"$type": f"{__name__}.Fact"}, FACT),
        ({"$type": "Fact"}, Better("x", 2)),
        ({"$where": {"n": 2}}, FACT),
        ({"$where": {"a": 1}}, {"a": 1, "b": 2}),
        ({"$where": {"shape": [2, 3]}}, np.zeros((2, 3))),
        ({"$where": {"name": {"$regex": "^x$"}}}, FACT),
        ({"$str": "a"}, Path("a")),
        ({"$repr": "{1}"}, {1}),
        ({"$regex": r"\d"}, "page 7"),
        ({"$regex": "7"}, 17),
        ({"$approx": 0.333333333}, 1 / 3),
        ({"$value": {"$type": "x"}}, {"$type": "x"}),
        ([{"$type": "str"}, 2], ["any", 2]),
    ],
)
def test_an_item_is_as_expected(expected, item):
    assert matches(expected, item)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        ("a", b"a"),
        ("a", Path("a")),
        ("1", 1),
        (1, True),
        (0, False),
        (True, 1),
        (None, 0),
        (1, "1"),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ([1], {1}),
        ([0, 0], np.zeros(2)),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"n": 2}, FACT),
        ({"$type": "Better"}, FACT),
        ({"$type": "Fact", "$where": {"n": 3}}, FACT),
        ({"$where": {"missing": 1}}, FACT),
        ({"$where": {"missing": 1}}, {"a": 1}),
        ({"$approx": 1}, True),
        ({"$approx": 1.0}, 1.01),
        ({"$approx": 1}, "1"),
        ({"$regex": "^a"}, "ba"),
        ({"$repr": "a"}, "a"),
        (1, Rude()),
        ({"$repr": ""}, Rude()),
        ([1], [Rude()]),
    ],
)
def test_an_item_is_not_as_expected(expected, item):
    assert not matches(expected, item)


VALUES = st.sampled_from([1, 2, "a", [1], {"$type": "int"}, {"$regex": "1|a"}, {"$where": {}}])
ITEMS = st.sampled_from([1, 2, 3, "a", "b", (1,)])


def most(expected, items):
    """How many can be paired, by trying all ways."""
    if not expected:
        return 0
    first, *rest = expected
    best = most(rest, items)
    for at, item in enumerate(items):
        if matches(first, item):
            best = max(best, 1 + most(rest, items[:at] + items[at + 1 :]))
    return best


@given(st.lists(VALUES, max_size=5), st.lists(ITEMS, max_size=5))
def test_as_many_values_as_can_be_have_an_item_of_their_own(expected, items):
    missing, surplus = unmatched(expected, items)
    paired = most(expected, items)
    assert len(missing) == len(expected) - paired
    assert len(surplus) == len(items) - paired


def test_a_thousand_values_find_a_thousand_items_in_another_order():
    assert unmatched(list(range(1000)), list(range(999, -1, -1))) == ([], [])


def test_who_is_left_over_among_many_alike_is_found_without_recursion():
    assert unmatched([{"$type": "int"}] * 1200, [7] * 1199) == ([1199], [])
