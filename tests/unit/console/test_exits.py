"""Exceptions become messages and exit codes in one place."""

import errno
import re
import sys
from pathlib import Path

import click
import pytest

from orchestrator import errors
from orchestrator.console.exits import exit_code_of


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("m"), 2),
        (errors.RunNotFoundError("m"), 2),
        (errors.TargetError("m"), 1),
        (errors.RunDirectoryError("m"), 74),
        (errors.InternalError("m"), 70),
        (RuntimeError("m"), 70),
        (click.UsageError("m"), 2),
        (click.exceptions.Exit(0), 0),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_each_error_has_its_exit_code(error, code, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert exit_code_of(raising(error)) == code
    assert "Traceback" not in capsys.readouterr().err


def test_what_a_command_returns_is_its_exit_code():
    assert exit_code_of(lambda: 3) == 3
    assert exit_code_of(lambda: None) == 0


def test_an_error_is_told_in_one_line_with_its_hint_and_no_traceback(capsys):
    exit_code_of(raising(errors.RunDirectoryError("cannot write \x1b[31m", hint="free space")))
    assert capsys.readouterr().err == (
        "mporch: error: cannot write \\x1b[31m\n  hint: free space\n"
    )


def test_a_bug_names_the_file_with_the_traceback(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    exit_code_of(raising(ValueError("odd")))
    err = capsys.readouterr().err
    assert err.startswith("mporch: this is a bug of mporch: ValueError: odd\n")
    assert "Traceback" not in err
    path = Path(re.search(r"traceback is in (\S+);", err)[1])
    assert "ValueError: odd" in path.read_text()


def test_a_bug_without_a_place_for_its_traceback_still_shows_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    exit_code_of(raising(ValueError("odd")))
    assert "Traceback" in capsys.readouterr().err


def test_problems_of_a_spec_are_shown_with_the_line(capsys, tmp_path):
    spec = tmp_path / "jobs.yaml"
    spec.write_text("jobs: 3\n")
    rule = errors.Rule("MP204")
    problem = errors.Problem(rule=rule, file=str(spec), line=1, column=7, message="not a mapping")
    assert exit_code_of(raising(errors.SpecError([problem]))) == 2
    assert capsys.readouterr().err == (
        f"{spec}:1:7: error: not a mapping [MP204]\n    1 | jobs: 3\n              ^\n"
        "More on this: mporch explain MP204\n"
    )


def test_a_full_disk_behind_standard_output_is_an_error(capsys, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert exit_code_of(lambda: print("x")) == 74
    assert "cannot write: No space left" in capsys.readouterr().err


def test_an_error_of_the_system_that_nobody_expected_is_a_bug(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert exit_code_of(raising(FileNotFoundError(2, "No such file"))) == 70
    assert "bug" in capsys.readouterr().err


def test_a_closed_standard_output_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code_of(lambda: 0) == 0


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EAGAIN, "again"), OSError(errno.ENOMEM, "none"), OSError(24, "")],
)
def test_what_the_system_refuses_is_no_bug(capsys, error):
    assert exit_code_of(raising(error)) == 71
    err = capsys.readouterr().err
    assert "bug" not in err
    assert "hint:" in err
