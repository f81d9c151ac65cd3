"""Writing to readers who may be slow or gone, without waiting for them."""

import os

import pytest

from orchestrator.views.screen import Outlet

BIG = "x" * 3_000_000


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_what_a_reader_takes_is_written_at_once(pipe):
    reader, writer = pipe
    outlet = Outlet(writer)
    outlet.write("hello\n")
    assert outlet.pending == 0
    assert os.read(reader, 100) == b"hello\n"


def test_a_reader_that_reads_nothing_does_not_block_the_writer(pipe):
    _, writer = pipe
    outlet = Outlet(writer)
    outlet.write(BIG)
    assert outlet.backed_up
    assert outlet.pending < len(BIG)


def test_what_was_held_back_follows_in_order(pipe):
    reader, writer = pipe
    outlet = Outlet(writer)
    text = "".join(f"{n}\n" for n in range(100_000))
    outlet.write(text)
    got = b""
    while outlet.pending:
        got += os.read(reader, 65536)
        outlet.pump()
    while len(got) < len(text):
        got += os.read(reader, 65536)
    assert got.decode() == text


def test_too_much_is_dropped_and_counted(pipe):
    _, writer = pipe
    outlet = Outlet(writer)
    for _ in range(5):
        outlet.write(BIG)
    assert outlet.lost > 0


def test_a_reader_that_has_gone_is_no_error(pipe):
    reader, writer = pipe
    outlet = Outlet(writer)
    os.close(reader)
    outlet.write("x")
    outlet.write("y")
    outlet.close()
    assert outlet.pending == 0


def test_a_file_takes_all_at_once(tmp_path):
    with (tmp_path / "f").open("wb") as file:
        outlet = Outlet(file.fileno())
        outlet.write(BIG)
        assert outlet.pending == 0
    assert (tmp_path / "f").stat().st_size == len(BIG)


def test_a_closed_descriptor_is_no_error(pipe):
    _, writer = pipe
    os.close(writer)
    Outlet(writer).write("x")


def test_bytes_that_were_no_utf8_come_out_as_they_were(pipe):
    reader, writer = pipe
    outlet = Outlet(writer)
    outlet.write(b"caf\xe9".decode("utf-8", "surrogateescape"))
    outlet.write("\ud800")
    assert os.read(reader, 100) == b"caf\xe9\\ud800"
