"""Forged chunks: what a producer has sent that is no chunk is the failure of those items only."""

from __future__ import annotations

import pickle

import pytest

from orchestrator.core.protocol.messages import Leased, Range
from orchestrator.worker.blocks import dump_row
from orchestrator.worker.lease import Lease

N = 3
GOOD = pickle.dumps(["a", "b", "c"])
FORGED = {
    "garbage": (b"garbage", False),
    "cut off": (GOOD[:-3], False),
    "too few": (pickle.dumps(["a"]), False),
    "none": (pickle.dumps([]), False),
    "a number": (pickle.dumps(5), False),
    "a dict": (pickle.dumps({0: 1, 1: 2, 2: 3}), False),
    "text": (pickle.dumps("abc"), False),
    "a tuple": (pickle.dumps((1, 2, 3)), False),
    "no pickles": (GOOD, True),
    "too few pickles": (pickle.dumps([pickle.dumps(1)]), True),
    "no block": (pickle.dumps([(N, b"x")]), True),
    "a block of others": (pickle.dumps([(N, pickle.dumps([1]))]), True),
    "a block of too few": (pickle.dumps([(1, pickle.dumps([1]))]), True),
    "a block of less than none": (pickle.dumps([(-1, b""), (2, pickle.dumps([1, 2]))]), True),
    "three of one": (pickle.dumps([(N, b"", b"")]), True),
    "no class": (b"cnobody.knows\nit\n.", False),
}


def leased(*chunks: tuple[bytes, bool]) -> Lease:
    ranges = tuple(
        Range(start=0, stop=N, first=1 + N * at, size=len(chunk), packed=packed)
        for at, (chunk, packed) in enumerate(chunks)
    )
    message = Leased(pull=1, lease=1, queue="q", ranges=ranges)
    return Lease(message, [chunk for chunk, _ in chunks])


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_each_of_its_items_raises_and_its_neighbours_are_as_they_are(forged):
    first, bad, last = leased((GOOD, False), forged, (GOOD, False)).pieces()
    assert first.items == last.items == ["a", "b", "c"]
    assert bad.packed
    assert len(bad.items) == N
    for item in bad.items:
        with pytest.raises(pickle.UnpicklingError, match="its producer has sent what is no chunk"):
            pickle.loads(item)


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_it_takes_its_place_where_items_are_taken_one_by_one(forged):
    lease = leased((GOOD, False), forged, (GOOD, False))
    taken = [lease.take() for _ in range(3 * N)]
    assert [packed for _, packed in taken] == [False] * N + [True] * N + [False] * N
    assert [item for item, packed in taken if not packed] == ["a", "b", "c"] * 2


def test_a_chunk_of_more_items_than_are_leased_is_a_chunk():
    row = dump_row([[n] for n in range(9)])
    for chunk, packed in (
        (pickle.dumps([*range(9)]), False),
        (pickle.dumps([pickle.dumps([n]) for n in range(9)]), True),
        (pickle.dumps(row), True),
    ):
        (piece,) = leased((chunk, packed)).pieces()
        assert len(piece.items) == N
