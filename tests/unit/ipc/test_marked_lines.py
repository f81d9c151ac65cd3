"""Marks in what a worker writes: each line has its item and its time, and no mark is ever seen."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.node.capture import LineSplitter, MarkedLines, Stamp
from orchestrator.ipc import marks
from orchestrator.ipc.cell import MARKS
from orchestrator.ipc.marks import Console, MarkedFile
from orchestrator.worker.call_context import BeginMarks

KEY = "0123abcd"
START = marks.prefix(KEY)
NOW = 99.0


def written(text, item=b"1:q:1", micros=5_000_000):
    data = text.encode()
    return marks.write_mark(START, micros, len(data), item) + data


def begun(item=b"1:q:2", micros=6_000_000):
    return marks.begin_mark(START, micros, item)


def lines_of(*chunks):
    marked = MarkedLines(KEY)
    found = [line for chunk in chunks for line in marked.feed(chunk, NOW)] + marked.flush(NOW)
    return [(line.text, line.stamp) for line in found]


def test_a_write_s_lines_are_of_its_item_and_its_time():
    assert lines_of(written("one\ntwo\n") + written("three\n", b"2:q:9", 7_000_000)) == [
        ("one", Stamp(5.0, "q:1", 1)),
        ("two", Stamp(5.0, "q:1", 1)),
        ("three", Stamp(7.0, "q:9", 2)),
    ]


def test_what_follows_a_write_is_not_of_its_item_unless_it_was_begun():
    found = lines_of(written("ours\n") + b"from C\n" + begun() + b"in it\n" + written("x\n", b":"))
    assert found == [
        ("ours", Stamp(5.0, "q:1", 1)),
        ("from C", Stamp(6.0)),
        ("in it", Stamp(5.0, "q:2", 1)),
        ("x", Stamp(5.0)),
    ]


def test_what_has_no_mark_is_seen_as_such():
    marked = MarkedLines(KEY)
    marked.feed(written("ours\n"), NOW)
    assert not marked.unmarked
    marked.feed(b"from C\n", NOW)
    assert marked.unmarked


def test_a_line_without_its_end_is_of_who_ended_it():
    assert lines_of(written("half, ", b"1:q:1"), written("whole\n", b"1:q:1", 8_000_000)) == [
        ("half, whole", Stamp(8.0, "q:1", 1))
    ]


@pytest.mark.parametrize("text", ["\0m\n", "\0m0123abcx\n", "\0m0123abcdw1:1\n", "\0", "a\0"])
def test_what_looks_like_a_mark_and_is_none_stays(text):
    assert [found for found, _ in lines_of(text.encode())] == [text.removesuffix("\n")]


pieces = st.one_of(
    st.builds(written, st.text(st.characters(codec="utf-8", exclude_characters="\r"))),
    st.builds(begun),
    st.binary().filter(lambda data: START not in data and b"\r" not in data),
    st.sampled_from([b"\0", b"\0m", START[:5], b"\n"]),
)


@given(st.lists(pieces, max_size=8), st.data())
def test_however_the_bytes_arrive_the_text_is_that_without_marks(written_pieces, data):
    """Not torn at a mark, not a byte more or less, whatever the target itself writes."""
    whole = b"".join(written_pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    plain = LineSplitter()
    text = marks.pattern(KEY).sub(b"", whole)
    expected = [line.text for line in [*plain.feed(text), *plain.flush()]]
    assert [found for found, _ in lines_of(*chunks)] == expected


@pytest.fixture
def pipe():
    """A pipe whose end for writing stands for descriptor 1."""
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


def console_on(fd):
    console = Console(KEY, [fd])
    console.at_hand = lambda: ("q:3", 2)
    return console


def test_a_write_carries_its_mark_in_one_piece(pipe):
    read_fd, write_fd = pipe
    file = MarkedFile(write_fd, console_on(write_fd))
    assert file.write(memoryview(b"hello\n")) == 6
    ((text, stamp),) = lines_of(os.read(read_fd, 1000))
    assert (text, stamp.item, stamp.attempt) == ("hello", "q:3", 2)


def test_a_write_that_the_pipe_takes_only_in_part_says_so(pipe):
    read_fd, write_fd = pipe
    os.set_blocking(write_fd, False)
    file = MarkedFile(write_fd, console_on(write_fd))
    data = b"x" * 200_000
    done = file.write(data)
    assert 0 < done < len(data)
    assert file.write(data[done:]) is None
    text = b""
    while len(text) < 65536:
        text += os.read(read_fd, 65536)
    assert [len(found) for found, _ in lines_of(text)] == [done]


def test_a_file_that_the_target_puts_there_gets_no_marks(pipe, tmp_path):
    _, write_fd = pipe
    console = console_on(write_fd)
    with (tmp_path / "own").open("wb", buffering=0) as own:
        os.dup2(own.fileno(), write_fd)
        assert MarkedFile(write_fd, console).write(b"only mine") == 9
    assert (tmp_path / "own").read_bytes() == b"only mine"


class Begun(Console):
    """Notes what would be written."""

    def __init__(self):
        self.told = []

    def begin(self, fd, item=("", 0)):
        self.told.append((fd, item[0]))


def test_items_are_marked_for_a_stretch_once_something_came_without_a_mark():
    console, words, at = Begun(), memoryview(bytearray(64)).cast("q"), iter(range(1000))
    found = BeginMarks(console, words, lambda: (f"q:{next(at)}", 1))
    call = found.around(print)
    assert call is print
    words[MARKS] = 1
    call = found.around(lambda: None)
    assert words[MARKS] == 0
    for _ in range(70):
        call()
    assert console.told == [*((1, f"q:{n}") for n in range(64)), (1, "")]
    assert found.around(print) is print


def test_each_bit_makes_the_next_stretch_longer():
    console, words = Begun(), memoryview(bytearray(64)).cast("q")
    found = BeginMarks(console, words, lambda: ("q:1", 1))
    for bits in (1, 2, 2):
        words[MARKS] = bits
        call = found.around(lambda: None)
    for _ in range(300):
        call()
    assert len([fd for fd, item in console.told if fd == 2 and item]) == 256


def test_a_command_s_items_are_always_marked():
    console, words = Begun(), memoryview(bytearray(64)).cast("q")
    found = BeginMarks(console, words, lambda: ("q:1", 1), always=True)
    for _ in range(200):
        found.around(lambda: None)()
    assert sorted(set(console.told)) == [(1, "q:1"), (2, "q:1")]
    assert len(console.told) == 400
