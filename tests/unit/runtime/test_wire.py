"""Frames: what is sent arrives, in pieces of any size; what is no frame is refused, and cheaply."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.messages import Commit, FromWorker, Leased, Output, Pull, Range, Ready
from orchestrator.runtime import records, wire

HEADER = struct.Struct("<4sIQI")


def commit(*sizes: int) -> Commit:
    outputs = tuple(Output(queues=("q",), n=1, size=size, packed=False) for size in sizes)
    return Commit(seq=1, outputs=outputs)


def framed(head: bytes, body: bytes = b"", *, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    return HEADER.pack(b"MP\x01\x00", len(head), length, zlib.crc32(head + body)) + head + body


def in_pieces(data: bytes, size: int) -> Iterable[memoryview]:
    return (memoryview(data)[at : at + size] for at in range(0, len(data), size))


@given(st.lists(st.lists(st.binary(min_size=1, max_size=9000), max_size=3)), st.integers(1, 20_000))
def test_frames_arrive_as_they_were_sent_in_pieces_of_any_size(
    bodies: list[list[bytes]], size: int
) -> None:
    data = b"".join(
        bytes(buffer)
        for blobs in bodies
        for buffer in wire.encode(commit(*map(len, blobs)), tuple(blobs))
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


@pytest.mark.parametrize("message", [Ready(), commit(5), Pull(pull=1, queues=("q",), most=1)])
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
