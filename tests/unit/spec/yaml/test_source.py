"""Reading the bytes of a spec."""

import io
import os
import socket
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.spec import load
from orchestrator.spec.yaml.source import MAX_BYTES, decode, read

GOOD = "version: 1\njobs: {}\n"


def refusal(call, *args):
    with pytest.raises(SpecError) as caught:
        call(*args)
    (problem,) = caught.value.problems
    return problem


def test_a_spec_is_read_with_its_folder_as_the_project(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "jobs.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    source = read("p/jobs.yaml")
    assert (source.text, source.name) == (GOOD, "p/jobs.yaml")
    assert source.project_dir == tmp_path / "p"
    assert source.file == tmp_path / "p" / "jobs.yaml"


def test_a_dash_is_standard_input_and_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = read("-", io.BytesIO(GOOD.encode()))
    assert (source.text, source.name) == (GOOD, "<stdin>")
    assert (source.project_dir, source.file) == (tmp_path, None)


def test_a_missing_file_names_the_spec_that_is_there(tmp_path):
    (tmp_path / "jobs.yml").write_text(GOOD)
    problem = refusal(read, tmp_path / "jobs.yaml")
    assert problem.message == "there is no such file"
    assert problem.hint == "did you mean jobs.yml?"


def test_a_missing_file_names_no_spec_that_is_like_it_only_in_its_ending(tmp_path):
    (tmp_path / "dicts.yaml").write_text(GOOD)
    (tmp_path / "job.yaml").write_text(GOOD)
    assert refusal(read, tmp_path / "jobs.yaml").hint == "did you mean job.yaml?"
    (tmp_path / "job.yaml").unlink()
    assert refusal(read, tmp_path / "jobs.yaml").hint.startswith("name the path of a spec")


def test_a_file_in_a_missing_folder_says_so(tmp_path):
    assert "no such folder" in refusal(read, tmp_path / "x" / "jobs.yaml").hint


def test_a_directory_is_refused(tmp_path):
    assert "a directory" in refusal(load, tmp_path).message


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe" in refusal(load, tmp_path / "pipe").message


def test_a_device_is_refused():
    assert "a device" in refusal(load, "/dev/zero").message


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert "socket" in refusal(load, "s").message


def test_a_name_the_system_cannot_hold_is_refused():
    assert "cannot be read" in refusal(load, "a\0b").message


def test_a_spec_of_exactly_the_limit_is_read_and_one_byte_more_is_not(tmp_path):
    padded = GOOD + "#" * (MAX_BYTES - len(GOOD))
    (tmp_path / "a.yaml").write_text(padded)
    assert len(read(tmp_path / "a.yaml").text) == MAX_BYTES
    (tmp_path / "a.yaml").write_text(padded + "#")
    assert "1 MiB" in refusal(read, tmp_path / "a.yaml").message


def test_an_endless_standard_input_is_cut_off():
    with Path("/dev/zero").open("rb") as endless:
        assert "1 MiB" in refusal(read, "-", endless).message


@pytest.mark.parametrize(
    ("data", "message", "place"),
    [
        (GOOD.encode("utf-16"), "UTF-16", (1, 1)),
        (b"a: 1\nb: \xff\n", "not UTF-8", (2, 4)),
        ("a: é\nbé: \x00".encode(), "U+0000", (2, 5)),
        (b"a: \x1b[31m", "U+001B", (1, 4)),
        (b"a: \xed\xa0\x80", "not UTF-8", (1, 4)),
        ("a: \ufffe".encode(), "U+FFFE", (1, 4)),
    ],
)
def test_what_is_not_text_is_refused_with_its_place(tmp_path, data, message, place):
    problem = refusal(decode, data, "jobs.yaml", tmp_path)
    assert message in problem.message
    assert (problem.line, problem.column) == place


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert decode(b"\xef\xbb\xbf" + GOOD.encode(), "jobs.yaml", tmp_path).text == GOOD
