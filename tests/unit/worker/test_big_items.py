"""Big items are chunks by themselves, made while they are put, and taken in by themselves."""

import pickle
import zlib

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.core.protocol.messages import Leased, Range
from orchestrator.ipc import wire
from orchestrator.worker.chunks import BIG_ITEM, Part, sole
from orchestrator.worker.lease import Lease
from orchestrator.worker.outbox import Outbox

BIG = "b" * BIG_ITEM
THINGS = {
    "number": 1,
    "text": "small",
    "big text": BIG,
    "big bytes": BIG.encode(),
    "big list": [BIG],
    "dict": {"a": 1},
    "none": None,
}


def outbox(*, counted, weighs=False):
    outbox = Outbox(("q",), chunk_items=50, part_items=1 << 30)
    outbox.digest = 0 if counted else None
    if weighs:
        outbox.weigh([("q", 8192, 16384)])
    return outbox


def taken(outbox, *, with_open=True, finished=0):
    """What leaves the box: the items, each with the size of the chunk it is in."""
    outputs, blobs = [], []
    outbox.take(finished, outputs, blobs, with_open=with_open)
    items, digest = [], 0
    for output, blob in zip(outputs, blobs, strict=True):
        raw = pickle.loads(blob)
        assert (len(raw), len(blob)) == (output.n, output.size)
        pickles = raw if output.packed else [pickle.dumps(item, 5) for item in raw]
        for pickled in pickles:
            assert len(pickled) < BIG_ITEM or len(raw) == 1, "a big item travels alone"
            digest = zlib.crc32(pickled, digest)
            items.append(pickle.loads(pickled))
    return items, digest


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.sampled_from([*THINGS, "seal", "drop", "take"]), max_size=30),
    st.booleans(),
    st.booleans(),
)
@example(["number", "seal", "big text", "take", "number", "seal", "take"], False, False)
@example(["number", "seal", "big list", "take", "dict", "seal", "take"], True, True)
def test_what_is_put_and_not_dropped_leaves_in_its_order(steps, counted, weighs):
    box = outbox(counted=counted, weighs=weighs)
    sealed, opened, left = [], [], []
    n = 0
    for step in steps:
        if step == "seal":
            box.seal()
            sealed, opened, n = [*sealed, *opened], [], n + 1
        elif step == "drop":
            box.drop_open()
            opened = []
        elif step == "take":
            items, _ = taken(box, with_open=False, finished=n)
            assert items == sealed
            left, sealed, n = [*left, *sealed], [], 0
        else:
            box.add(THINGS[step])
            opened.append(THINGS[step])
        assert box.count == len(sealed) + len(opened)
    box.drop_open()
    items, _ = taken(box, with_open=False, finished=n)
    assert items == sealed
    if counted:
        everything = b"".join(pickle.dumps(item, 5) for item in [*left, *sealed])
        assert box.digest == zlib.crc32(everything)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.sampled_from(["s", 1]), max_size=3), st.booleans())))
def test_parts_whose_last_item_is_big_leave_in_their_order(parts):
    box, expected = outbox(counted=False), []
    for small, packed in parts:
        items = [pickle.dumps(item, 5) if packed else item for item in [*small, BIG]]
        size = sum(len(item) for item in items if isinstance(item, str | bytes))
        box.extend(Part(items, packed, size, sole(items[-1])))
        expected += [*small, BIG]
    assert taken(box)[0] == expected


def frame(*chunks):
    ranges = tuple(
        Range(start=0, stop=1, first=n, size=len(chunk), packed=False, crc=zlib.crc32(chunk))
        for n, chunk in enumerate(chunks, 1)
    )
    return b"".join(
        bytes(part)
        for part in wire.encode(Leased(pull=1, lease=1, queue="q", ranges=ranges), chunks)
    )


@settings(deadline=None)
@given(st.data())
def test_a_frame_comes_whole_however_it_is_cut(data):
    sent = [
        [pickle.dumps([bytes(n)]) for n in sizes]
        for sizes in data.draw(
            st.lists(
                st.lists(st.sampled_from([1, 5000, 70_000]), min_size=1, max_size=3), max_size=4
            )
        )
    ]
    stream = b"".join(frame(*chunks) for chunks in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader, seen = wire.to_worker(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += reader.feed(memoryview(stream)[begin:end])
    assert [list(map(bytes, blobs)) for _, blobs in seen] == sent


def test_a_chunk_whose_checksum_is_wrong_is_refused_when_it_is_whole():
    stream = bytearray(frame(pickle.dumps([bytes(70_000)])))
    stream[-20] ^= 1
    reader = wire.to_worker()
    assert reader.feed(memoryview(stream)[:40_000]) == []
    with pytest.raises(wire.FrameError):
        reader.feed(memoryview(stream)[40_000:])


def test_a_body_that_its_head_does_not_announce_is_refused():
    stream = frame(pickle.dumps([bytes(70_000)]))
    head = msgspec.msgpack.encode(
        Leased(
            pull=1,
            lease=1,
            queue="q",
            ranges=(Range(start=0, stop=1, first=1, size=9, packed=False),),
        )
    )
    torn = stream[:4] + len(head).to_bytes(4, "little") + stream[8:20] + head
    with pytest.raises(wire.FrameError):
        wire.to_worker().feed(memoryview(torn))


@pytest.mark.pure_only
def test_a_chunk_that_no_memory_is_left_for_costs_its_item_and_no_other(monkeypatch):
    big = pickle.dumps(["x" * 70_000])
    whole = wire._buffer
    monkeypatch.setattr(wire, "_buffer", lambda n: whole(n) if n < 70_000 else bytearray())
    stream = frame(pickle.dumps([1]), big, pickle.dumps([3]))
    reader, seen = wire.to_worker(), []
    for at in range(0, len(stream), 1000):
        seen += reader.feed(memoryview(stream)[at : at + 1000])
    lease = Lease(*seen[0])
    items = []
    for _ in range(3):
        item, packed = lease.take()
        try:
            items.append(pickle.loads(item) if packed else item)
        except MemoryError as error:
            items.append(str(error))
    assert items == [1, f"no memory is left for the {len(big):,} bytes of the item", 3]
    assert lease.bytes_of(1) == len(big)
    assert lease.bytes_of(0) is None
