"""Records of `logging` on their way out of a worker."""

import logging
import socket

from orchestrator.runtime import records
from orchestrator.runtime.worker.logs import RunLogHandler


def test_a_record_is_one_datagram():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        log = logging.Logger("t")
        log.addHandler(RunLogHandler(ours))
        log.warning("%d eggs", 3)
        assert records.decode(theirs.recv(65536)).msg == "3 eggs"


def test_what_cannot_be_sent_goes_to_stderr_in_a_line(capsys):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.close()
    ours.close()
    log = logging.Logger("t")
    log.addHandler(RunLogHandler(ours))
    log.warning("%d eggs", 3)
    assert capsys.readouterr().err == "WARNING t: 3 eggs\n"
