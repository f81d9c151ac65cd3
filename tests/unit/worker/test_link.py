"""A worker's end of its socket: whatever is there is taken in, however much, from either family."""

import socket
import sys
import threading
import zlib

import pytest

from orchestrator.core.protocol.messages import Commit, Leased, Output, Range, Stop
from orchestrator.ipc import wire
from orchestrator.worker import link as links


def unix_pair():
    return socket.socketpair()


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return ours, theirs


@pytest.fixture(params=[unix_pair, tcp_pair], ids=["unix", "tcp"])
def pair(request):
    ours, theirs = request.param()
    yield ours, theirs
    ours.close()
    theirs.close()


def leased(n):
    """A message with one chunk of n bytes, as a frame's buffers, and the chunk."""
    blob = b"x" * n
    part = Range(start=0, stop=1, first=1, size=n, packed=False, crc=zlib.crc32(blob))
    return wire.encode(Leased(pull=1, lease=1, queue="a", ranges=(part,)), (blob,)), blob


def received(link):
    """What comes next, however long it takes on its way."""
    frames = []
    while not frames:
        link.wait(10)
        frames = link.receive()
    return frames


def test_a_frame_of_more_reads_than_python_has_frames_is_taken_in(monkeypatch, pair):
    monkeypatch.setattr(links, "_READ_SIZE", 16)
    ours, theirs = pair
    buffers, blob = leased(16 * 2 * sys.getrecursionlimit())
    link = links.Link(theirs)
    for buffer in buffers:
        ours.sendall(buffer)
    ((_, (found,)),) = received(link)
    assert bytes(found) == blob
    assert link.receive() == []


def test_more_buffers_than_one_call_takes_and_more_bytes_than_the_socket_holds_arrive(pair):
    ours, theirs = pair
    blobs = tuple(b"%d" % n * 2000 for n in range(2 * links._IOV_MAX))
    outputs = tuple(
        Output(queues=("a",), n=1, size=len(blob), packed=False, crc=zlib.crc32(blob))
        for blob in blobs
    )
    reader, found = wire.from_worker(), []

    def read():
        while not found:
            found.extend(reader.feed(memoryview(ours.recv(1 << 16))))

    thread = threading.Thread(target=read)
    thread.start()
    link = links.Link(theirs)
    link.queue(Commit(seq=1, outputs=outputs), blobs)
    link.flush()
    thread.join(30)
    ((message, chunks),) = found
    assert message.outputs == outputs
    assert tuple(map(bytes, chunks)) == blobs


def test_what_came_before_the_other_end_was_shut_is_taken_in_and_then_it_is_gone(pair):
    ours, theirs = pair
    link = links.Link(theirs)
    ours.sendall(b"".join(wire.encode(Stop())))
    ours.shutdown(socket.SHUT_WR)
    assert received(link) == [(Stop(), ())]
    with pytest.raises(links.LinkClosedError):
        received(link)


def test_a_wake_ends_a_yielding_wait_and_a_hush_forgets_it(pair):
    link = links.Link(pair[1])
    link.wake()
    link.wait(None, yielding=True)
    link.sleep(None)
    link.hush()
    link.sleep(0.0)
    assert link.receive() == []
