"""Streams that a program logs to: the console, and what stands before it."""

import contextlib
import io
import os

import pytest

from orchestrator.ipc.marks import Console, MarkedFile
from orchestrator.worker.logs.console import ConsoleStreams


class Raw(MarkedFile):
    """A raw file that may do anything as it is written to."""


class Text(io.TextIOWrapper):
    """A text file that may."""


def text(raw):
    return io.TextIOWrapper(io.BufferedWriter(raw))


@contextlib.contextmanager
def console_on_a_pipe():
    """The console, on a pipe that stands for descriptor 1."""
    saved, ends = os.dup(1), os.pipe()
    os.dup2(ends[1], 1)
    try:
        yield Console("key", (1,))
    finally:
        os.dup2(saved, 1)
        for fd in (saved, *ends):
            os.close(fd)


def patched(console):
    stream = text(MarkedFile(1, console))
    stream.write = print
    return stream


def detached(console):
    stream = text(MarkedFile(1, console))
    stream.detach()
    return stream


class Tee:
    def fileno(self):
        return 1


STREAMS = {
    "a worker's own": (lambda console: text(MarkedFile(1, console)), True, True),
    "its buffer": (lambda console: io.BufferedWriter(MarkedFile(1, console)), True, True),
    "one that was opened anew": (lambda _: open(1, "w", closefd=False), True, True),  # noqa: SIM115
    "a tee": (lambda _: Tee(), True, False),
    "one whose write is another": (patched, True, False),
    "a class of its own": (lambda console: Text(MarkedFile(1, console)), True, False),
    "a raw file of its own": (lambda console: text(Raw(1, console)), True, False),
    "one that was detached": (detached, False, False),
    "one in memory": (lambda _: io.StringIO(), False, False),
    "another file": (lambda _: text(io.FileIO(os.devnull, "w")), False, False),
    "None": (lambda _: None, False, False),
}


@pytest.mark.parametrize(("make", "console", "plain"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_is_the_console_or_nothing_but_the_console(make, console, plain):
    with console_on_a_pipe() as ours:  # here: pytest's capture changes descriptor 1 before a test
        streams, stream = ConsoleStreams(ours), make(ours)
        found = streams.is_console(stream), streams.is_plain(stream)
    assert found == (console, plain)
