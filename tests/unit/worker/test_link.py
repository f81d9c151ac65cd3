"""A worker's end of its socket: whatever is there is taken in, however much that is."""

import socket
import sys

from orchestrator.core.protocol.messages import Leased, Range
from orchestrator.ipc import wire
from orchestrator.worker import link as links


def test_a_frame_of_more_reads_than_python_has_frames_is_taken_in(monkeypatch):
    monkeypatch.setattr(links, "_READ_SIZE", 16)
    ours, theirs = socket.socketpair()
    blob = b"x" * (16 * 2 * sys.getrecursionlimit())
    part = Range(start=0, stop=1, first=1, size=len(blob), packed=False)
    link = links.Link(theirs)
    for buffer in wire.encode(Leased(pull=1, lease=1, queue="a", ranges=(part,)), (blob,)):
        ours.sendall(buffer)
    ((_, (found,)),) = link.receive()
    assert bytes(found) == blob
    assert link.receive() == []
    ours.close()
    theirs.close()
