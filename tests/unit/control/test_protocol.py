"""Frames of the control socket: what is sent arrives, in whatever pieces; all else is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.control import protocol
from orchestrator.control.protocol import (
    GREETING,
    AskItems,
    AskPicture,
    AskStop,
    FrameError,
    Picture,
    Refusal,
    Welcome,
    encode,
)
from orchestrator.core.protocol.events import StopHow
from orchestrator.core.samples import Header, JobSample, JobWiring, Sample

REQUESTS = [AskPicture(), AskStop(how=StopHow.KILL), AskItems(queue="q" * 100, n=7)]
SAMPLE = Sample(t=1.5, jobs=(JobSample(state="ready", items_out=9),))
ANSWERS = [
    Welcome(
        header=Header(samples=1, run="r", name="n", started="", pid=1, jobs=(JobWiring(name="a"),))
    ),
    Picture(before=SAMPLE, sample=SAMPLE, sentence="all is well"),
    Refusal(why="no", hint="try"),
]


@given(st.lists(st.integers(1, 40), max_size=60))
def test_records_arrive_as_they_were_sent_in_pieces_of_any_length(lengths):
    data = GREETING + b"".join(map(encode, REQUESTS))
    frames, found = protocol.requests(), []
    for length in [*lengths, len(data)]:
        found += frames.feed(data[:length])
        data = data[length:]
    assert found == REQUESTS
    assert frames.greeting == GREETING


def test_answers_arrive_as_they_were_sent():
    assert protocol.answers().feed(GREETING + b"".join(map(encode, ANSWERS))) == ANSWERS


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"mporcj",
        GREETING + b"\xff\xff\xff\xff",
        GREETING + b"\x00\x00\x00\x01\xc1",
        GREETING + b"\x00\x00\x00\x05hello",
        GREETING + encode(ANSWERS[0]),
        GREETING + b"\x00\x00\xff\xff" + b"\x91" * 0xFFFF,
    ],
    ids=["other", "near", "long", "bytes", "text", "answer", "deep"],
)
def test_what_is_no_request_is_refused(data):
    with pytest.raises(FrameError):
        protocol.requests().feed(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data):
    frames = protocol.requests()
    with contextlib.suppress(FrameError):
        assert all(type(found) in map(type, REQUESTS) for found in frames.feed(GREETING + data))


def test_of_another_version_nothing_is_decoded():
    other = protocol.requests()
    assert other.feed(b"mporch\x00\x09" + encode(REQUESTS[0])) == []
    assert protocol.version_of(other.greeting or b"") == 9


def test_a_record_with_more_than_is_known_is_taken():
    frame = encode(REQUESTS[0])
    longer = frame[:3] + bytes([frame[3] + 6]) + bytes([frame[4] + 1]) + frame[5:] + b"\xa4more\x01"
    assert protocol.requests().feed(GREETING + longer) == [AskPicture()]
