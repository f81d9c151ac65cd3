"""A locale that cannot hold what a spec has for the system: told by what it is, and the locale."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
"""Python's own way out of such a locale is off: what is left is what a Latin-1 locale is like."""
WHY = "has a character in it, U+2713, which the locale C (ascii) cannot hold"
HINT = "set LC_ALL to a locale of UTF-8, such as C.UTF-8"
CODE = """\
def put():
    yield "\u2713"

def say():
    print("\u2713 said")
"""


def mporch(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env={**os.environ, **ASCII},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def written(folder: Path, jobs: str) -> None:
    (folder / "t.py").write_text(CODE, encoding="utf-8")
    (folder / "jobs.yaml").write_text(f"version: 1\n{jobs}", encoding="utf-8")


RUN = {
    "an argument": ("jobs: {a: {command: [echo, '✓']}}", f"argument 1 of the command {WHY}"),
    "a value in a text": (
        "vars: {x: '✓'}\njobs: {a: {command: 'echo ${vars.x}'}}",
        f"a value in the command {WHY}",
    ),
    "a variable": (
        "jobs: {a: {target: 't:say', env: {X: '✓'}}}",
        f"the value of the variable 'X' in env {WHY}",
    ),
    "the name of a variable": (
        "jobs: {a: {target: 't:say', env: {'✓': x}}}",
        f"the name of the variable '\\u2713' in env {WHY}",
    ),
    "a variable of a command, spawned": (
        "jobs: {a: {command: [echo], start_method: spawn, env: {X: '✓'}}}",
        f"the value of the variable 'X' in env {WHY}",
    ),
    "a folder": ("jobs: {a: {target: 't:say', cwd: '✓'}}", f"cwd {WHY}"),
    "an item on standard input": (
        "queues: {q: 2}\njobs: {p: {target: 't:put', output: q}, a: {command: cat, input: q}}",
        f"an item {WHY}",
    ),
    "an item as an argument": (
        "queues: {q: 2}\n"
        "jobs: {p: {target: 't:put', output: q}, a: {command: [echo, '{item}'], input: q}}",
        f"{{item}} {WHY}",
    ),
}


@pytest.mark.parametrize(("jobs", "told"), RUN.values(), ids=RUN)
def test_a_run_fails_by_what_cannot_be_handed_over(command, tmp_path, jobs, told) -> None:
    written(tmp_path, jobs)
    done = mporch(command, tmp_path, "run", "--no-live")
    assert done.returncode == 1, done.stderr
    assert told in done.stderr
    assert HINT in done.stderr or "stdin: json" in done.stderr
    for wrong in ("Traceback", "codec can't encode", "os._exit", "restarts", "bug of mporch"):
        assert wrong not in done.stderr


CHECKED = {
    "a script": ("jobs: {a: {command: 'echo ✓'}}", 2, f"the command {WHY} [MP676]"),
    "a program on the PATH": ("jobs: {a: {command: ['✓']}}", 2, f"names no program: it {WHY}"),
    "a program's path": ("jobs: {a: {command: ['./✓']}}", 2, f"names no program: it {WHY}"),
    "a folder": ("jobs: {a: {target: 't:say', cwd: '✓'}}", 0, f"names no folder: it {WHY}"),
    "the Python path": (
        "pythonpath: ['✓', .]\njobs: {a: {target: 't:say'}}",
        0,
        f"names no folder: it {WHY}",
    ),
}


@pytest.mark.parametrize(("jobs", "code", "told"), CHECKED.values(), ids=CHECKED)
def test_validate_tells_of_what_it_looks_for(command, tmp_path, jobs, code, told) -> None:
    written(tmp_path, jobs)
    done = mporch(command, tmp_path, "validate")
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert HINT in done.stderr


@pytest.mark.parametrize("key", ["env: {X: '✓'}", "cwd: '✓'"])
def test_an_import_that_cannot_begin_is_no_fault_of_the_module(command, tmp_path, key) -> None:
    written(tmp_path, f"jobs: {{a: {{target: 't:say', {key}}}}}")
    done = mporch(command, tmp_path, "validate", "--import")
    assert done.returncode == 2
    assert "importing t cannot begin: " in done.stderr
    assert WHY in done.stderr
    assert "mend the module" not in done.stderr


def test_what_is_only_read_and_printed_works_in_any_locale(command, tmp_path) -> None:
    written(tmp_path, "name: ✓\npythonpath: ['✓', .]\njobs: {a: {target: 't:say', description: ✓}}")
    done = mporch(command, tmp_path, "run", "--no-live")
    assert done.returncode == 0, done.stderr
    assert "✓ said" in done.stdout
    assert mporch(command, tmp_path, "plan").returncode == 0
    assert mporch(command, tmp_path, "runs").returncode == 0
