"""What keeps a program from being started is told before."""

import errno
import subprocess

import pytest

from orchestrator.machine.programs import Programs, script_flaw


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("#!/bin/sh\r\necho\r\n", "ends as in Windows"),
        ("#!/usr/bin/env python3\r\n", "ends as in Windows"),
        ("echo\n", "without a first line"),
        ("", "without a first line"),
        ("#!/usr/bin/nonesuch\n", "/usr/bin/nonesuch, which is not there"),
        ("#!\n", "by nothing"),
        ("#!/bin/sh\necho\n", None),
        ("#! /bin/sh -e\n", None),
        ("#!/bin/sh", None),
        ("\x7fELF\x00", None),
        ("\u00e9\n", None),
    ],
)
def test_a_script_that_the_kernel_cannot_start_is_told(tmp_path, text, flaw):
    path = tmp_path / "own.sh"
    path.write_bytes(text.encode())
    path.chmod(0o755)
    for programs, name in [
        (Programs(None, tmp_path), "./own.sh"),
        (Programs(str(tmp_path), tmp_path), "own.sh"),
    ]:
        found = programs.flaw(name)
        assert found is None if flaw is None else flaw in found[0]


def raising(error):
    def run(*_args, **_keys):
        raise error

    return run


KILLED = subprocess.CompletedProcess([], -9, b"", b"")


@pytest.mark.parametrize(
    "run",
    [
        lambda *_args, **_keys: KILLED,
        raising(subprocess.TimeoutExpired("sh", 2)),
        raising(OSError(errno.EAGAIN, "Resource temporarily unavailable")),
        raising(OSError(errno.ENOMEM, "Cannot allocate memory")),
        raising(FileNotFoundError(errno.ENOENT, "No such file or directory")),
    ],
    ids=["killed", "stopped", "no process", "no memory", "no shell"],
)
def test_a_shell_that_could_not_read_a_script_says_nothing_of_it(monkeypatch, run):
    monkeypatch.setattr(subprocess, "run", run)
    assert script_flaw("/bin/sh", "echo (") is None


def test_a_shell_says_what_it_cannot_read():
    assert script_flaw("/bin/sh", "echo )")
    assert script_flaw("/bin/sh", "echo " + "x" * (1 << 21)) is not None, (
        "longer than an argument may be"
    )


def test_a_program_is_looked_for_on_the_jobs_path_and_from_its_folder(tmp_path):
    (tmp_path / "own").write_text("#!/bin/sh\n")
    programs = Programs(str(tmp_path), tmp_path)
    assert programs.flaw("own") == ("there is no program own on PATH", "write ./own")
    assert "may not be executed" in programs.flaw("./own")[0]
    (tmp_path / "own").chmod(0o755)
    assert programs.flaw("own") is None
    assert programs.flaw("./own") is None
    assert programs.flaw("onw")[1] == "did you mean own?"
    assert programs.flaw("x" * 5000)[0].startswith("there is no program")
    assert programs.flaw("./" + "x" * 5000)[0].startswith("there is no program")


def test_a_shell_reads_a_script_and_runs_nothing_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENV", "./env")
    (tmp_path / "env").write_text("touch ran\n")
    assert script_flaw("/bin/sh", "touch ran; $(touch ran) `touch ran`") is None
    assert not (tmp_path / "ran").exists()
    assert script_flaw("/bin/sh", "echo 'x")
    assert script_flaw("/bin/sh", "(" * 100_000)
    assert script_flaw("/bin/sh", "x" * 1_000_000)
    assert script_flaw("/bin/sh", "echo \ud800")
