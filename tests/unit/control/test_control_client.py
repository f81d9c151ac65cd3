"""The control socket's client: what it says of a run that is silent, gone, or another user's."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.control import protocol
from orchestrator.control.client import ControlClient, ControlError, RunGoneError
from orchestrator.control.protocol import GREETING, AskPicture, Picture, Stopping, Welcome
from orchestrator.core.samples import FORMAT, Header, JobSample, Sample, WorkerSample
from orchestrator.engine.control_server import listen
from orchestrator.runlog.alive import lock_while_open
from orchestrator.runlog.directory import LOG_NAME, RunDirectory

HEADER = Header(samples=FORMAT, run="r", name="n", started="", pid=1, jobs=())
WELCOME = GREETING + protocol.encode(Welcome(header=HEADER))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run that goes on: its log is locked."""
    with (tmp_path / LOG_NAME).open("w") as log:
        assert lock_while_open(log.fileno())
        yield RunDirectory(run_id="r", path=tmp_path)


@contextlib.contextmanager
def answered(listener: socket.socket, data: bytes) -> Iterator[threading.Thread]:
    """Whoever connects is sent some bytes, and hung up on by the end of the thread."""

    def answer() -> None:
        with listener.accept()[0] as sock:
            sock.recv(len(GREETING), socket.MSG_WAITALL)
            sock.sendall(data)

    thread = threading.Thread(target=answer)
    thread.start()
    yield thread
    thread.join()


@pytest.fixture
def listener(run: RunDirectory) -> Iterator[socket.socket]:
    with listen(run.path) as sock:
        yield sock


def test_a_run_that_does_not_answer_is_said_to_be_silent(
    run: RunDirectory, listener: socket.socket
) -> None:
    with pytest.raises(ControlError, match=r"does not answer within 0\.01 s"):
        ControlClient(run, patience_s=0.01)


def test_what_greets_as_something_else_is_no_run(
    run: RunDirectory, listener: socket.socket
) -> None:
    with answered(listener, b"HTTP/1.1"), pytest.raises(ControlError, match="no greeting"):
        ControlClient(run, patience_s=5)


def test_a_run_that_has_hung_up_is_gone_and_kills_nobody(
    run: RunDirectory, listener: socket.socket
) -> None:
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as commands have it
    try:
        with answered(listener, WELCOME) as other, ControlClient(run, patience_s=5) as client:
            other.join()
            with pytest.raises(RunGoneError, match="has ended just now"):
                client.ask(AskPicture())
            with pytest.raises(RunGoneError, match="has ended just now"):
                client.ask(AskPicture())
    finally:
        signal.signal(signal.SIGPIPE, before)


@pytest.mark.parametrize("ours", [True, False])
def test_who_is_hung_up_on_by_another_user_is_told_so(
    run: RunDirectory, listener: socket.socket, monkeypatch: pytest.MonkeyPatch, *, ours: bool
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me if ours else me + 1)
    with answered(listener, b""), pytest.raises(ControlError) as caught:
        ControlClient(run, patience_s=5)
    assert isinstance(caught.value, RunGoneError) is ours
    assert ("another user" in str(caught.value)) is not ours


NONE = Sample(t=1.0, jobs=())
NOBODYS = (WorkerSample(name="", job=1),)
ONE = Sample(t=1.0, jobs=(JobSample(state="ready"),))


@pytest.mark.parametrize(
    "answer",
    [
        Stopping(),
        Picture(before=NONE, sample=ONE),
        Picture(before=ONE, sample=NONE),
        Picture(before=NONE, sample=Sample(t=math.nan, jobs=())),
        Picture(before=NONE, sample=Sample(t=math.inf, jobs=())),
        Picture(before=NONE, sample=Sample(t=1e300, jobs=())),
        Picture(
            before=NONE, sample=Sample(t=1.0, jobs=(), workers=(WorkerSample(name="", job=1),))
        ),
    ],
)
def test_what_is_no_picture_of_this_run_is_not_shown(
    run: RunDirectory, listener: socket.socket, answer: protocol.Answer
) -> None:
    with answered(listener, WELCOME), ControlClient(run, patience_s=5) as client:
        assert client.picture_in(Picture(before=NONE, sample=NONE)).sample == NONE
        with pytest.raises(ControlError, match="answers"):
            client.picture_in(answer)
