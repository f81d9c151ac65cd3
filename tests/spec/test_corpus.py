"""Traps of YAML and of specs: each is told as expected, with its place."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from traps import CORPUS, TRAPS, expectations, told

EXPECTED = expectations()
COMMAND = Path(sys.executable).with_name("mporch")
HEAD = re.compile(r"\d+:\d+: (error|warning): .+ \[MP\d{3}\]")


def test_the_corpus_is_large_and_each_trap_has_its_expectation():
    assert len(TRAPS) >= 150
    assert {trap.stem for trap in TRAPS} == EXPECTED.keys()


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.stem)
def test_a_trap_is_told_as_expected(trap, tmp_path):
    assert told(trap, tmp_path) == EXPECTED[trap.stem]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_expected_is_a_place_and_a_code_or_that_it_is_accepted(name):
    *problems, last = [line for line in EXPECTED[name].splitlines() if not line.startswith("  ")]
    accepted = last.startswith("accepted")
    assert all(HEAD.fullmatch(line) for line in [*problems, *([] if accepted else [last])])
    assert accepted is not any(" error: " in line for line in [*problems, last])


def validate(*specs, cwd, limit_s=20):
    return subprocess.run(
        [COMMAND, "validate", *specs], cwd=cwd, capture_output=True, text=True, timeout=limit_s,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_the_command_says_the_same_of_all_traps_and_ends_with_2(tmp_path):
    done = validate(*map(str, TRAPS), cwd=tmp_path, limit_s=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == len(TRAPS)
    for trap in TRAPS:
        heads = [line for line in EXPECTED[trap.stem].splitlines() if HEAD.match(line)]
        for head in heads:
            place = head.partition(": ")[0]
            assert f"{trap}:{place}: " in done.stderr


def directory(path):
    path.mkdir()


def dangling_link(path):
    path.symlink_to("nowhere")


def link_to_itself(path):
    path.symlink_to(path)


def link_to_zero(path):
    path.symlink_to("/dev/zero")


def link_to_a_folder(path):
    path.symlink_to("/")


def of_a_gigabyte(path):
    with path.open("wb") as file:
        file.truncate(1 << 30)


def one_byte_too_large(path):
    path.write_bytes(b"#" * ((1 << 20) + 1))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (directory, "MP102"),
        (os.mkfifo, "MP102"),
        (link_to_zero, "MP102"),
        (link_to_a_folder, "MP102"),
        (dangling_link, "MP101"),
        (link_to_itself, "MP103"),
        (of_a_gigabyte, "MP104"),
        (one_byte_too_large, "MP104"),
    ],
)
def test_what_is_no_plain_small_file_is_refused_at_once(tmp_path, make, code):
    make(tmp_path / "jobs.yaml")
    done = validate(cwd=tmp_path)
    assert done.returncode == 2
    assert re.match(rf"jobs\.yaml:1:1: error: .+ \[{code}\]\n", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, ""])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name, capsys):
    from orchestrator.cli.main import command_line  # noqa: PLC0415 -- with its own capsys

    assert command_line(["validate", name]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_standard_input_that_never_ends_is_read_to_the_limit(tmp_path):
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [COMMAND, "validate", "-"], cwd=tmp_path, stdin=endless, capture_output=True, text=True,
            timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("<stdin>:1:1: error: the file is larger than 1 MiB [MP104]\n")
    assert CORPUS.is_dir()
