"""A tap sees what is put on its queues, once each and in order, and changes nothing."""

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.observers import Tap
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
