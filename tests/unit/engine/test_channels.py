"""Channels: what is read from workers and sent to them, and in which order."""

from __future__ import annotations

import contextlib
import selectors
import socket
import zlib
from collections.abc import Iterator

import pytest

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Commit, Committed, FromWorker, Leased, Output, Range
from orchestrator.engine.channels import READ_SIZE, Channel, Channels, Poller
from orchestrator.engine.engine import Received
from orchestrator.ipc import wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def leased(blob: bytes) -> Leased:
    part = Range(start=0, stop=1, first=1, size=len(blob), packed=False, crc=zlib.crc32(blob))
    return Leased(pull=1, lease=1, queue="q", ranges=(part,))


@pytest.mark.pure_only
def test_items_for_who_waits_are_sent_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    poller, theirs = Poller(), []
    channels = Channels(poller)
    for name in ("src-1", "map-1", "snk-1"):
        ours, other = socket.socketpair()
        theirs.append(other)
        channels.open(name)
        channels.adopt(name, ours)
    names = {channel: name for name, channel in poller._data.values()}
    flush = Channel.flush

    def noted(channel: Channel) -> bool:
        order.append(names[channel])
        return flush(channel)

    monkeypatch.setattr(Channel, "flush", noted)
    channels.send("src-1", Committed(seq=1), ())
    channels.send("map-1", Committed(seq=1), ())
    channels.send("snk-1", leased(b"x"), (b"x",))
    channels.send("src-1", Committed(seq=2), ())
    channels.flush()
    assert order == ["snk-1", "src-1", "map-1"]
    channels.send("src-1", Committed(seq=3), ())
    channels.flush()
    assert order[3:] == ["src-1"]
    channels.close()
    poller.close()
    for other in theirs:
        other.close()


@pytest.mark.parametrize("size", [9, READ_SIZE, 3 << 20])
def test_a_chunk_of_any_size_arrives_as_it_was_sent_and_then_the_end(
    pair: tuple[socket.socket, socket.socket], size: int
) -> None:
    ours, theirs = pair
    ours.setblocking(False)
    theirs.setblocking(False)
    blob = bytes(range(256)) * (size // 256 + 1)
    output = Output(queues=("q",), n=1, size=len(blob), packed=False, crc=zlib.crc32(blob))
    data = memoryview(b"".join(map(bytes, wire.encode(Commit(seq=1, outputs=(output,)), (blob,)))))
    channel, buffer = Channel(ours), memoryview(bytearray(READ_SIZE))
    frames: list[tuple[FromWorker, tuple[Blob, ...]]] = []
    while data or not frames:
        if data:
            with contextlib.suppress(BlockingIOError):
                n = theirs.send(data)
                data = data[n:]
        frames += channel.read(buffer) or []
    theirs.close()
    assert [bytes(found) for _, (found,) in frames] == [blob]
    assert channel.read(buffer) is None
    assert channel.at_end


def test_a_worker_that_goes_in_the_midst_of_a_chunk_is_at_its_end_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    output = Output(queues=("q",), n=1, size=1 << 20, packed=False)
    message = wire.encode(Commit(seq=1, outputs=(output,)), (bytes(1 << 20),))
    poller = Poller()
    channels = Channels(poller)
    channels.open("w-1")
    channels.adopt("w-1", ours.dup())
    theirs.sendall(b"".join(map(bytes, message))[: 1 << 17])
    theirs.close()
    assert channels.last_words("w-1") == [Received(worker="w-1", frames=[])]
    assert not channels.is_open("w-1")
    channels.forget("w-1")
    poller.close()


def test_a_poller_tells_what_it_was_told_of_a_descriptor(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    poller = Poller()
    poller.register(ours, selectors.EVENT_READ, "read")
    assert poller.ready(0.0) == []
    theirs.send(b"x")
    assert poller.ready(None) == ["read"]
    poller.modify(ours, selectors.EVENT_READ | selectors.EVENT_WRITE, "both")
    assert poller.ready(None) == ["both"]
    poller.modify(ours.fileno(), selectors.EVENT_WRITE, "write")
    assert ours.recv(1) == b"x"
    assert poller.ready(None) == ["write"]
    poller.unregister(ours)
    assert poller.ready(0.0) == []
    poller.close()
