"""No byte that acts on a terminal reaches it, from wherever it comes, in any command."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("mporch"))
EVIL = "\x1b]0;gone\x07\x1b[2J\x9b31m\x00\u202eevil\u2028\ud800\r\x7f"
CODE = f"""
import logging, sys
EVIL = {EVIL!r}
NAME = EVIL.replace(chr(0), "").replace(chr(0xd800), "")

class Item:
    def __init__(self, n): self.n = n
    def __repr__(self): return EVIL
    def __getstate__(self): return {{EVIL: self.n}}
    def __setstate__(self, state): self.n = state[EVIL]

class EvilError(Exception): pass
EvilError.__qualname__ = EvilError.__name__ = "Evil" + NAME

def items():
    sys.stdout.buffer.raw.write(EVIL.encode("utf-8", "surrogatepass") + b"\\xff\\n")
    print(EVIL, file=sys.stderr)
    logging.getLogger(EVIL).warning("%s", EVIL, extra={{"more" + EVIL: EVIL}})
    for n in range(3):
        yield Item(n)

def work(item):
    if item.n == 0:
        raise EvilError(EVIL)
    if item.n == 1:
        exec(compile("raise ValueError(EVIL)", NAME, "exec"))
    raise KeyError(item)
"""
SPEC = r"""
version: 1
name: "pipe\e[2J\u202E"
queues: {q: 5}
jobs:
  items: {target: "t:items", output: q}
  work:
    target: "t:work"
    input: q
    description: "\e[2J\u009B31m"
    kwargs: {}
    env: {EVIL: "\e[2J\u202E", DB_PASSWORD: hunter2}
    on_error: {ValueError: skip, else: dead_letter}
"""
COMMANDS = [
    ["validate"],
    ["plan"],
    ["plan", "--format", "json"],
    ["graph"],
    ["graph", "--format", "mermaid"],
    ["graph", "--format", "dot"],
    ["graph", "--format", "svg"],
    ["init", "new\x1b[2J\u202e"],
    ["doctor"],
    ["resume"],
    ["explain", "\x1b[2J"],
    ["runs"],
    ["runs", "--format", "json"],
    ["show"],
    ["show", "--format", "json"],
    ["logs"],
    ["logs", "--format", "json"],
    ["logs", "--job", "a\x1b[2J\x9b\u202e\udcff"],
    ["logs", "--grep", "(" + "\x1b[2J"],
    ["dead", "list"],
    ["dead", "list", "--format", "json"],
    ["dead", "show", "1"],
    ["dead", "show", "2", "--format", "json"],
    ["dead", "export"],
    ["dead", "show", "last", "\x1b[2J"],
    ["dead", "debug", "1"],
    ["dead", "replay", "1", "--output", "none"],
    ["run", "nowhere\x1b[2J.yaml"],
    ["run", "bad.yaml"],
    ["validate", "bad.yaml", "--format", "json"],
    ["validate", "--no-\x1b[2J"],
    ["ru\x1b[2Jn"],
    ["show", "run\u202e\x1b[2J"],
    ["show", "./run\u202e\x1b[2J"],
    ["run", "--run-dir", "full\x1b[2J"],
    ["run", "--output", "\x1b[2J"],
]
OURS = re.compile(r"\x1b\[\d*m|\x1b\[\d*A|\x1b\[[JKC]|\r\n|\r(?=\x1b)|(?<=\x1b\[J)\r")
HARMLESS = re.compile(r"[\n\t]")


def harm(text):
    """What of the text would act on a terminal, colours and the live display apart."""
    text = HARMLESS.sub("", OURS.sub("", text))
    return sorted({char for char in text if not char.isprintable()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harm") / "in\x1b[2J"
    folder.mkdir()
    (folder / "t.py").write_text(CODE)
    (folder / "jobs.yaml").write_text(SPEC)
    (folder / "bad.yaml").write_text('version: 1\nqueues: {"\\e[2J": 5, q\x1b[2J: -1}\n', "utf-8")
    (folder / "full\x1b[2J").mkdir()
    (folder / "full\x1b[2J" / "file").touch()
    assert mporch(folder, "run").returncode == 3
    return folder


def mporch(folder, *command, **how):
    return subprocess.run(
        [COMMAND, *command],
        cwd=folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=60,
        check=False,
        **how,
    )


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=str(command), marks=[pytest.mark.long] if at % 3 else [])
        for at, command in enumerate((["run"], ["run", "--format", "json"], *COMMANDS))
    ],
)
def test_what_a_command_prints_is_harmless(command, folder):
    done = mporch(folder, *command)
    assert done.returncode in (0, 1, 2, 3, 74)
    for stream in (done.stdout, done.stderr):
        text = stream.decode()  # not even a byte that is no text
        # what a target itself writes to the terminal in the debugger is its own
        assert not harm(text) or command[:2] == ["dead", "debug"], repr(text)
        assert "hunter2" not in text
    assert b"bug of mporch" not in done.stderr


def test_a_live_run_on_a_terminal_is_harmless(folder):
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [COMMAND, "run"], cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    assert command.wait(30) == 3
    os.close(ours)
    assert b"evil" in shown
    assert not harm(shown.decode())


def _read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the terminal's other side is closed
        return b""


def test_what_is_kept_holds_no_secret_but_in_the_users_own_words(folder):
    runs = folder / ".mporch" / "runs"
    holding = {
        path.name for path in runs.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()
    }
    assert holding == {"spec.yaml"}
