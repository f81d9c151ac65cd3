"""A tap sees what is put on its queues, once each and in order, and changes nothing."""

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.observers import LiveTap, Tap
from orchestrator.core.broker.queue import QueueState
from orchestrator.plan.model import WhenFull


def queue(tap, **options):
    state = QueueState("q", 10, ["a"], ["b"], **options)
    state.observers += (tap,)
    return state


def seen(tap):
    return [(piece.queue, piece.start, piece.stop) for piece in tap.take()]


def test_each_put_is_noted_with_its_chunk():
    tap = Tap({"q"})
    chunk = Chunk(b"abc", packed=True, items=5)
    queue(tap).append(chunk, 0, 2)
    (piece,) = tap.take()
    assert (piece.blob, piece.packed, piece.start, piece.stop) == (b"abc", True, 0, 2)


def test_what_was_taken_is_not_told_again():
    tap = Tap({"q"})
    state = queue(tap)
    state.append(Chunk(b"", packed=False, items=5), 0, 2)
    assert seen(tap) == [("q", 0, 2)]
    state.append(Chunk(b"", packed=False, items=5), 2, 5)
    assert seen(tap) == [("q", 2, 5)]
    assert seen(tap) == []


def test_what_comes_back_is_not_new():
    tap = Tap({"q"})
    state = queue(tap)
    state.append(Chunk(b"", packed=False, items=5), 0, 5)
    state.give_back(state.take(3))
    assert seen(tap) == [("q", 0, 5)]


def test_what_is_put_where_nobody_reads_is_noted_too():
    tap = Tap({"q"})
    state = queue(tap)
    state.close(clean=True)
    state.append(Chunk(b"", packed=False, items=5), 0, 5)
    assert seen(tap) == [("q", 0, 5)]
    assert state.dropped == 5


def test_what_a_full_queue_drops_was_put():
    tap = Tap({"q"})
    state = queue(tap, when_full=WhenFull.DROP_NEWEST)
    state.append(Chunk(b"", packed=False, items=20), 0, 20)
    assert seen(tap) == [("q", 0, 20)]
    assert state.dropped == 10


def test_a_live_tap_notes_the_next_items_with_their_numbers_and_leaves():
    state = QueueState("q", 10, ["a"], ["b"])
    tap = LiveTap(state)
    state.append(Chunk(b"", packed=False, items=5), 0, 5)
    tap.want(4)
    for start in (0, 3, 6):
        state.append(Chunk(b"", packed=True, items=9), start, start + 3)
    assert [(each.first, each.start, each.stop) for each in tap.take()] == [(6, 0, 3), (9, 3, 4)]
    assert (tap.take(), tap.wanted, state.observers) == ([], 0, ())


def test_live_taps_come_and_go_beside_other_observers():
    kept = Tap({"q"})
    state = queue(kept)
    one, other = LiveTap(state), LiveTap(state)
    one.want(1)
    other.want(9)
    one.want(9)
    state.append(Chunk(b"", packed=False, items=5), 0, 5)
    one.want(0)
    state.append(Chunk(b"", packed=False, items=5), 0, 5)
    assert [sum(each.stop - each.start for each in tap.take()) for tap in (one, other)] == [5, 9]
    assert state.observers == (kept,)
    assert seen(kept) == [("q", 0, 5), ("q", 0, 5)]
