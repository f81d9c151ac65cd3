"""What targets print, cut into lines."""

import os

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.node.capture import CapturedLine, LineSplitter, drain


def whole(text):
    return CapturedLine(text=text)


def piece(text):
    return CapturedLine(text=text, more=True)


def test_lines_end_with_a_newline_and_the_rest_waits_for_its_own():
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntwo\nthr") == [whole("one"), whole("two")]
    assert splitter.feed(b"ee\n") == [whole("three")]
    assert splitter.flush() == []


def test_the_last_line_needs_no_newline():
    splitter = LineSplitter()
    assert splitter.feed(b"last words") == []
    assert splitter.flush() == [whole("last words")]
    assert splitter.flush() == []


def test_a_carriage_return_belongs_to_the_newline_even_when_they_come_apart():
    splitter = LineSplitter()
    assert splitter.feed(b"one\r\ntwo\r") == [whole("one")]
    assert splitter.feed(b"\nth\rree\n") == [whole("two"), whole("th\rree")]


def test_empty_lines_are_lines():
    assert LineSplitter().feed(b"\n\r\n\n") == [whole(""), whole(""), whole("")]


def test_a_long_line_comes_in_pieces_of_the_limit():
    splitter = LineSplitter(limit=8)
    assert splitter.feed(b"0123456789abcdefgh") == [piece("01234567"), piece("89abcdef")]
    assert splitter.feed(b"\n") == [whole("gh")]


def test_a_line_of_exactly_the_limit_is_whole_with_either_end():
    assert LineSplitter(limit=8).feed(b"01234567\n") == [whole("01234567")]
    assert LineSplitter(limit=8).feed(b"01234567\r\n") == [whole("01234567")]
    splitter = LineSplitter(limit=8)
    assert splitter.feed(b"01234567\r") == []
    assert splitter.feed(b"\n") == [whole("01234567")]


def test_a_long_line_is_cut_between_characters():
    text = "aé€😀" * 5
    pieces = LineSplitter(limit=8).feed(text.encode() + b"\n")
    assert "".join(p.text for p in pieces) == text
    assert all(p.more for p in pieces[:-1])
    assert not pieces[-1].more


def test_what_is_not_utf8_shows_as_escapes():
    assert LineSplitter().feed(b"\xff\xfe\x00ok\n") == [whole("\\xff\\xfe\x00ok")]


@given(st.lists(st.binary(max_size=40)), st.integers(min_value=4, max_value=12))
def test_however_the_bytes_arrive_the_lines_are_the_same_and_as_many_as_were_written(chunks, limit):
    data = b"".join(chunks)
    splitter = LineSplitter(limit=limit)
    found = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()
    at_once = LineSplitter(limit=limit)
    assert found == at_once.feed(data) + at_once.flush()
    ended = data.count(b"\n")
    assert sum(not line.more for line in found) == ended + bool(data.split(b"\n")[-1])


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_the_pieces_of_each_line_make_up_its_text(lines):
    splitter = LineSplitter(limit=5)
    texts, text = [], ""
    for line in splitter.feed("".join(f"{text}\n" for text in lines).encode()):
        text += line.text
        if not line.more:
            texts.append(text)
            text = ""
    assert texts == lines


def test_draining_takes_what_lies_in_the_pipe_and_does_not_wait_for_its_end():
    read_fd, write_fd = os.pipe()
    try:
        os.write(write_fd, b"x" * 50_000)
        assert drain(read_fd) == b"x" * 50_000
        assert drain(read_fd) == b""
        os.write(write_fd, b"more")
        os.close(write_fd)
        write_fd = None
        assert drain(read_fd) == b"more"
        assert drain(read_fd) == b""
    finally:
        os.close(read_fd)
        if write_fd is not None:
            os.close(write_fd)


def test_of_a_long_line_that_is_drawn_anew_only_what_was_not_drawn_over_stays():
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"\r10%#\r20%##\r30%###") == []
    assert splitter.state == "30%###"
    assert splitter.feed(b"\n") == [CapturedLine(text="\r30%###")]
    assert splitter.state == ""
