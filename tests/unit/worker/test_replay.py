"""A worker that is called again must put what it has put before, and puts none of that twice."""

import pickle

import pytest

from orchestrator.errors import ReplayError
from orchestrator.ipc.order import Emitted
from orchestrator.worker.outbox import Outbox
from orchestrator.worker.replay import ReplayCheck, ReplayChecks, digest_of

ITEMS = [1, "two", {"three": 3}, None, 5.0, b"six"]


def before(items, tail=()):
    """What a worker had put: items with a digest, then those of a chunk of which a part was."""
    digest = digest_of(items, packed=False, before=0)
    blob = pickle.dumps([*tail, "and more"], 5) if tail else b""
    return Emitted(n=len(items), digest=digest, tail=blob, used=len(tail))


def box_of(emitted):
    outbox = Outbox(("q",), chunk_items=10, part_items=10)
    checks = ReplayChecks("job 'a'", {"q": emitted}, counted=True)
    outbox.digest, outbox.replay = 0, checks.of("q")
    return outbox


def test_the_digest_does_not_depend_on_how_items_were_cut_into_chunks_or_packed():
    packed = [pickle.dumps(item, 5) for item in ITEMS]
    whole = digest_of(ITEMS, packed=False, before=0)
    assert digest_of(packed, packed=True, before=0) == whole
    first = digest_of(ITEMS[:2], packed=False, before=0)
    assert digest_of(packed[2:], packed=True, before=first) == whole


def test_items_that_come_again_are_not_put_and_the_next_one_is():
    outbox = box_of(before(ITEMS))
    assert [outbox.repeats(item) for item in [*ITEMS, "new"]] == [True] * len(ITEMS) + [False]
    outbox.add("new")
    outbox.take(0, [], [], with_open=True)
    assert outbox.replay is None
    assert outbox.digest == digest_of([*ITEMS, "new"], packed=False, before=0)


def test_the_digest_goes_on_over_what_comes_after_the_replay():
    outbox = box_of(before(ITEMS[:2], tail=ITEMS[2:3]))
    for item in ITEMS:
        if not outbox.repeats(item):
            outbox.add(item)
    outputs, blobs = [], []
    outbox.take(0, outputs, blobs, with_open=True)
    first = digest_of(ITEMS[:3], packed=False, before=0)
    assert outputs[0].digests == (first, digest_of(ITEMS, packed=False, before=0))


def test_another_item_is_found_at_the_end_of_those_that_have_a_digest():
    replay = ReplayCheck("job 'a'", "q", before(ITEMS))
    with pytest.raises(ReplayError, match=r"job 'a' .* one of items 1 to 6 on 'q'") as caught:
        for item in ["one", *ITEMS[1:]]:
            replay.compare(item)
    assert "clock" in caught.value.hint


def test_another_item_of_the_tail_is_found_at_once():
    replay = ReplayCheck("job 'a'", "q", before(ITEMS[:3], tail=ITEMS[3:]))
    for item in ITEMS[:3]:
        replay.compare(item)
    with pytest.raises(ReplayError, match="item 4 on 'q'"):
        replay.compare("four")


def test_a_tail_that_a_damaged_store_has_lost_is_skipped_without_being_compared():
    lost = Emitted(n=2, digest=digest_of(ITEMS[:2], packed=False, before=0), tail=b"", used=2)
    replay = ReplayCheck("job 'a'", "q", lost)
    for item in (*ITEMS[:2], "other", "others"):
        replay.compare(item)
    assert replay.is_over


def test_fewer_items_than_before_are_an_error_at_the_end():
    replays = ReplayChecks("job 'a'", {"q": before(ITEMS)}, counted=True)
    outbox = Outbox(("q",), chunk_items=10, part_items=10)
    outbox.digest, outbox.replay = 0, replays.of("q")
    outbox.repeats(ITEMS[0])
    with pytest.raises(ReplayError, match="put 1 items on 'q' when it was called again, and 6"):
        replays.finish()


def test_a_transaction_that_is_rolled_back_counts_for_nothing_in_the_replay_either():
    replays = ReplayChecks("job 'a'", {"q": before(ITEMS)}, counted=True)
    outbox = Outbox(("q",), chunk_items=10, part_items=10)
    outbox.digest, outbox.replay = 0, replays.of("q")
    assert outbox.repeats(ITEMS[0])
    for n in (1, len(ITEMS) - 1, len(ITEMS)):  # within what comes again, to its end, and beyond
        undo = replays.mark()
        again = [outbox.repeats(item) for item in [*ITEMS[1:], "new"][:n]]
        assert again == [True] * min(n, len(ITEMS) - 1) + [False] * (n == len(ITEMS))
        for rewind in undo:
            rewind()
    assert all(outbox.repeats(item) for item in ITEMS[1:])
    assert not outbox.repeats("new")
    replays.finish()
