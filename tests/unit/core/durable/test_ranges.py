"""Ranges: what they join, what they cut, and that no item is lost or doubled by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.durable.snapshot import ItemRange, ItemRanges, take

SLICES = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)


def numbers(parts: list[ItemRange]) -> list[int]:
    return [number for part in parts for number in part.numbers]


def test_a_range_that_goes_on_where_the_last_one_ended_is_joined_to_it() -> None:
    ranges = ItemRanges()
    for part in (ItemRange(1, 0, 2, 1), ItemRange(1, 2, 5, 3)):
        ranges.add(part)
    assert list(ranges) == [ItemRange(1, 0, 5, 1)]


def test_neighbours_in_the_chunk_that_have_no_neighbouring_ids_are_kept_apart() -> None:
    ranges = ItemRanges()
    for part in (ItemRange(1, 0, 2, 1), ItemRange(1, 2, 3, 9)):
        ranges.add(part)
    assert len(list(ranges)) == 2


def test_a_chunk_of_which_nothing_is_left_is_forgotten() -> None:
    ranges = ItemRanges()
    ranges.add(ItemRange(1, 0, 2, 1))
    assert ranges.remove(1, 0, 2) == [ItemRange(1, 0, 2, 1)]
    assert not ranges.of_chunk


def test_removing_what_is_not_there_removes_nothing() -> None:
    ranges = ItemRanges()
    ranges.add(ItemRange(1, 2, 4, 1))
    assert ranges.remove(2, 2, 4) == []
    assert ranges.remove(1, 0, 2) == []
    assert numbers(list(ranges)) == [1, 2]


def test_a_cut_keeps_ids() -> None:
    assert ItemRange(1, 2, 8, 11).cut(4, 6) == ItemRange(1, 4, 6, 13)


@given(st.lists(SLICES, min_size=1, max_size=6), SLICES, st.booleans())
def test_take_returns_exactly_what_was_there_and_keeps_the_order_of_the_rest(
    slices: list[list[int]], wanted: list[int], from_head: bool
) -> None:
    parts, here, first = [], {}, 1
    for begin, end in slices:
        own = [at for at in range(begin, end) if at not in here]
        for at in own:
            here[at] = first
            parts.append(ItemRange(1, at, at + 1, first))
            first += 1
    start, stop = wanted
    expected = sorted(here[at] for at in range(start, stop) if at in here)
    rest = [number for number in numbers(parts) if number not in expected]
    assert numbers(take(parts, 1, start, stop, from_head=from_head)) == expected
    assert numbers(parts) == rest


def test_take_leaves_other_chunks_alone() -> None:
    parts = [ItemRange(1, 0, 4, 1), ItemRange(2, 0, 4, 5), ItemRange(1, 4, 6, 9)]
    assert take(parts, 1, 2, 5) == [ItemRange(1, 2, 4, 3), ItemRange(1, 4, 5, 9)]
    assert parts == [ItemRange(1, 0, 2, 1), ItemRange(2, 0, 4, 5), ItemRange(1, 5, 6, 10)]
