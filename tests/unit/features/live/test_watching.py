"""The terminal of `mporch top`: keys, what they choose, and the terminal given back."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

from orchestrator.control.protocol import Picture
from orchestrator.core.samples import FORMAT, Header, JobSample, JobWiring, Sample, WorkerSample
from orchestrator.features.live.watching import Watching
from orchestrator.views.frame import Look

HEADER = Header(
    samples=FORMAT,
    run="r",
    name="n",
    started="2026-12-01T12:00:00Z",
    pid=7,
    jobs=tuple(JobWiring(name=name) for name in "abc"),
)
BEFORE = Sample(t=0.0, jobs=(JobSample(state="running"),) * 3)
SAMPLE = Sample(
    t=2.0,
    jobs=tuple(JobSample(state="running", workers=1, items_in=n) for n in (1, 3, 2)),
    workers=(WorkerSample(name="b-1", job=1, pid=11),),
)
LOOK = Look(width=100, height=24, colour=False)


def names(keys: str) -> list[str]:
    """Return the first words of the rows after these keys, by their names."""
    watching = Watching(HEADER, Picture(before=BEFORE, sample=SAMPLE, sentence="told"))
    for key in keys.split(", "):
        watching.press(key)
    lines = watching.lines(LOOK)[2:]
    return [line.split()[0] for line in lines]


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ("", ["a", "b", "c"]),
        ("sort", ["b", "c", "a"]),
        ("sort, sort back", ["a", "b", "c"]),
        ("sort back, sort", ["a", "b", "c"]),
        ("down", [">a", "b", "c"]),
        ("down, down", ["a", ">b", "c"]),
        ("up", ["a", "b", ">c"]),
        ("up, down, down", ["a", "b", ">c"]),
        ("down, up, up", [">a", "b", "c"]),
        ("down, down, open", ["a", ">b", "b-1", "c"]),
        ("down, down, open, open", ["a", ">b", "c"]),
        ("down, down, open, up", [">a", "b", "b-1", "c"]),
        ("down, down, open, close", ["a", "b", "c"]),
        ("sort, down", [">b", "c", "a"]),
        ("open", ["a", "b", "c"]),
    ],
)
def test_keys_choose_what_is_looked_at(keys, rows):
    assert names(keys) == [*rows, "told", "q"]


def test_the_last_line_tells_the_keys_until_the_end():
    watching = Watching(HEADER, Picture(before=BEFORE, sample=SAMPLE, sentence="told"))
    assert watching.lines(LOOK)[-1].startswith("q quit  s sort: as in the spec")
    watching.press("quit")
    assert watching.done
    assert watching.lines(LOOK)[-1] == "told"


def test_a_job_without_jobs_cannot_be_chosen():
    empty = Header(samples=FORMAT, run="r", name="n", started="s", pid=7, jobs=())
    none = Sample(t=1.0, jobs=())
    watching = Watching(empty, Picture(before=none, sample=none))
    watching.press("down")
    watching.press("open")
    assert watching.lines(LOOK)


SCRIPT = """
import sys
from orchestrator.features.live.watching import Terminal
with Terminal() as terminal:
    terminal.draw(["ready"])
    while "quit" not in (keys := terminal.pressed()):
        terminal.draw([" ".join(keys)])
        if "close" in keys:
            raise ValueError("a bug")
"""


SILENT = """
import os
from orchestrator.control.protocol import Picture
from orchestrator.core.samples import Header, Sample
from orchestrator.features.live.watching import watch
from orchestrator.views.frame import Look

class Silent:
    header = Header(samples=1, run="r", name="n", started="s", pid=7, jobs=())
    end, _ = os.pipe()

    def fileno(self):
        return self.end

    def send(self, request):
        os.write(1, b"asked")

none = Sample(t=1.0, jobs=())
watch(Silent(), Picture(before=none, sample=none), lambda: Look(width=80, height=24))
"""


class Shell:
    """A terminal of its own, in which the script runs."""

    def __init__(self, script: str = SCRIPT) -> None:
        self.leader, self.follower = pty.openpty()
        self.before = termios.tcgetattr(self.follower)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=self.follower,
            stdout=self.follower,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.told = b""

    def until(self, text: bytes) -> None:
        while text not in self.told:
            self.told += os.read(self.leader, 1024)

    def press(self, keys: bytes) -> None:
        os.write(self.leader, keys)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


@pytest.fixture
def shell(request):
    shell = Shell(getattr(request, "param", SCRIPT))
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (b"s", b"sort"),
        (b"\x1b[A\x1b[B\x1bOAjk", b"up down up down up"),
        (b"\r", b"open"),
        (b"x\x1b[15~", b" \x1b[K"),
    ],
)
def test_keys_have_names(shell, keys, named):
    shell.until(b"ready")
    shell.press(keys)
    shell.until(named)


@pytest.mark.parametrize("end", [b"q", b"\x03", b"\x1b", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_however_it_ends(shell, end):
    shell.until(b"ready")
    assert termios.tcgetattr(shell.follower) != shell.before
    if isinstance(end, bytes):
        shell.press(end)
    else:
        shell.process.send_signal(end)
    shell.until(b"\x1b[?7h\x1b[?25h\x1b[?1049l")
    shell.process.wait()
    assert termios.tcgetattr(shell.follower) == shell.before


@pytest.mark.parametrize("shell", [SILENT], indirect=True)
def test_a_run_that_does_not_answer_can_be_left(shell):
    shell.until(b"asked")
    shell.press(b"q")
    shell.until(b"\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert shell.process.wait() == 0
