"""Frames: what is sent arrives, in pieces of any size; what is no frame is refused, and cheaply."""

from __future__ import annotations

import contextlib
import errno
import struct
import tracemalloc
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.protocol.messages import (
    Commit,
    FromWorker,
    Leased,
    Output,
    Pull,
    Range,
    Ready,
)
from orchestrator.ipc import records, wire

HEADER = struct.Struct("<4sIQI")


def commit(*sizes: int) -> Commit:
    outputs = tuple(Output(queues=("q",), n=1, size=size, packed=False) for size in sizes)
    return Commit(seq=1, outputs=outputs)


def commit_of(blobs: Sequence[bytes]) -> Commit:
    outputs = [
        Output(queues=("q",), n=1, size=len(blob), packed=False, crc=zlib.crc32(blob))
        for blob in blobs
    ]
    return Commit(seq=1, outputs=tuple(outputs))


def framed(head: bytes, body: bytes = b"", *, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    crc = zlib.crc32(head, length & 0xFFFFFFFF)
    return HEADER.pack(b"MP\x02\x00", len(head), length, crc) + head + body


def in_pieces(data: bytes, size: int) -> Iterable[memoryview]:
    return (memoryview(data)[at : at + size] for at in range(0, len(data), size))


@given(st.lists(st.lists(st.binary(min_size=1, max_size=9000), max_size=3)), st.integers(1, 20_000))
def test_frames_arrive_as_they_were_sent_in_pieces_of_any_size(
    bodies: list[list[bytes]], size: int
) -> None:
    data = b"".join(
        bytes(buffer) for blobs in bodies for buffer in wire.encode(commit_of(blobs), tuple(blobs))
    )
    reader = wire.from_worker()
    found = [frame for piece in in_pieces(data, size) for frame in reader.feed(piece)]
    assert [list(blobs) for _, blobs in found] == bodies


@given(st.binary(max_size=300))
def test_bytes_are_a_frame_or_a_frame_error_and_nothing_else(data: bytes) -> None:
    for text in (data, framed(data), framed(b"\x92\x02" + data)):
        try:
            wire.from_worker().feed(memoryview(text))
        except wire.FrameError:
            continue


@pytest.mark.parametrize("announced", [(2 << 30) + 1, 4 << 30, 2**64 - 1])
def test_a_body_longer_than_any_is_refused_at_its_header(announced: int) -> None:
    with pytest.raises(wire.FrameError, match="may have"):
        wire.from_worker().feed(memoryview(framed(b"x" * 9, announced=announced)))


@pytest.mark.parametrize(
    "message", [Ready(), commit(5), commit(-1, 1 + (1 << 30)), Pull(pull=1, queues=("q",), most=1)]
)
def test_a_long_body_that_its_head_does_not_announce_is_refused_before_it_comes(
    message: FromWorker,
) -> None:
    head = msgspec.msgpack.encode(message)
    data = framed(head, announced=1 << 30)
    reader = wire.from_worker()
    with pytest.raises(wire.FrameError):
        for piece in in_pieces(data, 7):
            reader.feed(piece)


def test_a_header_alone_costs_no_memory() -> None:
    head = msgspec.msgpack.encode(commit(1 << 30))
    tracemalloc.start()
    assert wire.from_worker().feed(memoryview(framed(head, announced=1 << 30))) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("n", [1 << 21, 1 << 28, (1 << 32) - 1])
def test_a_list_that_is_announced_and_not_there_costs_no_memory(n: int) -> None:
    tracemalloc.start()
    with pytest.raises(wire.FrameError):
        wire.from_worker().feed(memoryview(framed(b"\x93\x07\x01\xdd" + struct.pack(">I", n))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_what_goes_to_a_worker_may_be_longer() -> None:
    """A batch of large items is one lease."""
    part = Range(start=0, stop=1, first=1, size=3 << 30, packed=False)
    head = msgspec.msgpack.encode(Leased(pull=1, lease=1, queue="q", ranges=(part,)))
    assert wire.to_worker().feed(memoryview(framed(head, announced=3 << 30))) == []


@given(st.binary(max_size=200))
def test_a_datagram_is_a_record_or_a_value_error_and_nothing_else(data: bytes) -> None:
    head = b"\x96\xcb" + bytes(8) + b"\xa1i\xa1l\xa1m\xa0"
    for text in (data, head + data, head + b"\x81\xa1a" + data, head + b"\x91" * 9999):
        try:
            records.decode(text)
        except ValueError:
            continue


def large(n: int, size: int = 3 << 20) -> bytes:
    return bytes([n]) * size


def sent(*blobs: bytes) -> bytes:
    return b"".join(map(bytes, wire.encode(commit_of(blobs), blobs)))


@pytest.fixture(params=["grows", "mapped", "refused"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a large chunk is kept."""
    if request.param != "grows":
        monkeypatch.setattr(wire, "_LARGE", 1 << 20)
    if request.param == "refused":
        monkeypatch.setattr(wire.mmap, "mmap", Mock(side_effect=OSError(errno.ENOMEM, "")))


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("piece", [1 << 16, (1 << 18) - 7, 5 << 20, 100 << 20])
def test_large_items_arrive_whole_however_they_are_cut_and_whatever_is_read_after_them(
    piece: int,
) -> None:
    """The buffer that they are read into is used again for what comes next."""
    bodies = [[large(1)], [b"small", large(2)], [b"x"], [large(3), large(4)], [large(5, 1 << 20)]]
    data = b"".join(sent(*blobs) for blobs in bodies)
    reader, scratch = wire.from_worker(), bytearray(min(piece, len(data)))
    found = []
    for part in in_pieces(data, piece):
        scratch[: len(part)] = part
        found += reader.feed(memoryview(scratch)[: len(part)])
    scratch[:] = bytes(len(scratch))
    assert [[bytes(blob) for blob in blobs] for _, blobs in found] == bodies


@pytest.mark.usefixtures("room")
@given(
    st.lists(st.lists(st.sampled_from([9, 5000, 1 << 20, 3 << 20]), max_size=3), max_size=4),
    st.sampled_from([4096, 70_001, 1 << 18]),
    st.booleans(),
)
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_read_into_the_room_of_a_chunk_is_what_was_sent(
    sizes: list[list[int]], most: int, reserves: bool
) -> None:
    bodies = [[large(n, size) for n, size in enumerate(each)] for each in sizes]
    data, at = memoryview(b"".join(sent(*blobs) for blobs in bodies)), 0
    reader = wire.FrameReader(msgspec.msgpack.Decoder(FromWorker), reserves=reserves)
    found = []
    while at < len(data):
        room = reader.room()
        piece = data[at : at + min(most, most if room is None else len(room))]
        at += len(piece)
        if room is None:
            found += reader.feed(piece)
        else:
            room[: len(piece)] = piece
            found += reader.filled(len(piece))
    assert [[bytes(blob) for blob in blobs] for _, blobs in found] == bodies


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("at", [100, 1 << 20, (3 << 20) + 40])
def test_a_large_item_that_was_damaged_on_the_way_is_refused(at: int) -> None:
    data = bytearray(sent(large(1)))
    data[at] ^= 1
    reader = wire.from_worker()
    with pytest.raises(wire.FrameError, match="checksum"):
        for part in in_pieces(bytes(data), 1 << 18):
            reader.feed(part)


@pytest.mark.parametrize("size", [50, 300 << 10])
def test_a_chunk_s_checksum_is_its_producer_s_and_is_checked_before_the_frame_is_given(
    size: int,
) -> None:
    blobs = [large(1, size), large(2, size)]
    message = commit_of(blobs)
    outputs = (message.outputs[0], msgspec.structs.replace(message.outputs[1], crc=1))
    wrong = msgspec.structs.replace(message, outputs=outputs)
    data = b"".join(map(bytes, wire.encode(wrong, tuple(blobs))))
    reader = wire.from_worker()
    with pytest.raises(wire.FrameError, match="a chunk's checksum"):
        for part in in_pieces(data, 1 << 18):
            reader.feed(part)


@pytest.mark.parametrize("bit", range(32, 160))
def test_a_frame_with_another_header_is_refused_or_not_whole(bit: int) -> None:
    data = bytearray(sent(b"a chunk"))
    data[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(wire.FrameError):
        assert wire.from_worker().feed(memoryview(bytes(data))) == []


def test_an_empty_chunk_does_not_hold_back_its_frame() -> None:
    data = sent(large(1), b"")
    reader = wire.from_worker()
    found = [frame for part in in_pieces(data, 1 << 18) for frame in reader.feed(part)]
    assert [[bytes(blob) for blob in blobs] for _, blobs in found] == [[large(1), b""]]


@pytest.mark.parametrize("threshold", [1 << 20, 1 << 30])
def test_a_large_item_is_copied_once(threshold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs its own size, and what a buffer grows ahead: an eighth. Pages are not seen."""
    monkeypatch.setattr(wire, "_LARGE", threshold)
    size = 16 << 20
    data = sent(large(1, size))
    reader = wire.from_worker()
    tracemalloc.start()
    try:
        frames = [frame for part in in_pieces(data, 1 << 18) for frame in reader.feed(part)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(frames) == 1
    assert peak < (1.3 * size if threshold > size else 1 << 20)


def test_a_mapped_chunk_uses_memory_as_it_comes_and_none_when_it_is_gone() -> None:
    size = 1 << 30
    piece = b"x" * (24 << 20)
    head = msgspec.msgpack.encode(commit(size))
    before = resident()
    reader = wire.from_worker()
    reader.feed(memoryview(framed(head, announced=size)))
    reader.feed(memoryview(b"x"))
    assert resident() - before < 4 << 20
    reader.feed(memoryview(piece))
    assert resident() - before > 20 << 20
    del reader
    assert resident() - before < 4 << 20


def resident() -> int:
    """Bytes of mapped pages without a file that this process uses."""
    (line,) = [x for x in Path("/proc/self/status").read_text().split("\n") if "RssAnon" in x]
    return int(line.split()[1]) * 1024
