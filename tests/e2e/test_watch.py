"""`mporch run --watch`: the installed command, with files that change under it."""

import queue
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

SPEC = """\
version: 1
name: watched
jobs:
  work: {target: "mine:work", kwargs: {word: "${WORD:-one}"}}
"""
MINE = "import helper\n\ndef work(word): print('did', helper.what, word, flush=True)\n"
FOREVER = "import time\n\ndef work(word):\n    print('began', flush=True)\n    time.sleep(600)\n"
WITHIN_S = 30


class Watching:
    """A watch whose words, of both outputs, are waited for."""

    def __init__(self, command: Path, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [command, "run", "--watch", *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, pattern: str) -> list[str]:
        """Wait for a line; returns all up to it."""
        seen = []
        while True:
            try:
                seen.append(self.lines.get(timeout=WITHIN_S))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in:\n{''.join(seen)}") from None
            if re.search(pattern, seen[-1]):
                return seen


@pytest.fixture
def watch(command, tmp_path):
    """Begins a watch in a project folder; afterwards nothing of it is left."""
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "helper.py").write_text("what = 'this'\n")
    begun = []

    def begin(*options):
        begun.append(Watching(command, tmp_path, *options))
        return begun[-1]

    yield begin
    for each in begun:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
        each.process.wait(WITHIN_S)
        each.process.stdout.close()


def test_a_change_of_spec_target_helper_or_variables_runs_it_anew(watch, tmp_path):
    (tmp_path / "env").write_text("WORD=two\n")
    run = watch("--env-file", "env")
    run.until("did this two")
    run.until("waiting for a change of env, jobs.yaml, mine.py")
    (tmp_path / "env").write_text("WORD=three\n")
    run.until("env changed: running anew")
    run.until("did this three")
    run.until("waiting for a change")
    (tmp_path / "helper.py").write_text("what = 'that'\n")
    run.until("did that three")
    run.until("waiting for a change")
    (tmp_path / "new.yaml").write_text(SPEC.replace("${WORD:-one}", "four"))
    (tmp_path / "new.yaml").replace(tmp_path / "jobs.yaml")  # as editors save
    run.until("did that four")
    run.until("waiting for a change")
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(WITHIN_S) == 130


def test_a_run_that_writes_what_it_is_watched_by_is_not_run_anew_for_ever(watch, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import helper\n\ndef work(word):\n    with open('helper.py', 'a') as f: f.write('#')\n"
        "    print('did', flush=True)\n    import time; time.sleep(0.5)\n"
    )
    run = watch("--output", "none")
    seen = run.until("the run writes it, so it seems")
    assert sum("running anew" in line for line in seen) == 2
    run.until("waiting for a change")
    (tmp_path / "helper.py").write_text("what = 'mended'\n")  # nothing goes on: it counts
    run.until("helper.py changed: running anew")


@pytest.mark.long
def test_a_mistake_in_the_spec_is_shown_and_the_watch_goes_on(watch, tmp_path):
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("mine:work", "mine:wrok"))
    run = watch("--output", "none")
    seen = run.until("waiting for a change of jobs.yaml, mine.py")
    assert any("mine has no wrok" in line for line in seen)
    (tmp_path / "mine.py").write_text(MINE.replace("def work", "def wrok"))
    run.until("watched succeeded")
    (tmp_path / "jobs.yaml").write_text("jobs: {")
    run.until("MP1")
    (tmp_path / "jobs.yaml").write_text(SPEC)
    run.until("mine has no work")
    (tmp_path / "mine.py").write_text(MINE)
    run.until("watched succeeded")


@pytest.mark.long
def test_a_run_that_goes_on_is_terminated_and_the_next_one_takes_its_place(watch, tmp_path):
    (tmp_path / "mine.py").write_text(FOREVER)
    run = watch()
    run.until("began")
    (tmp_path / "mine.py").write_text(MINE)
    run.until("mine.py changed: running anew")
    run.until("watched interrupted .*exit code 143")
    run.until("did this one")


def test_an_interrupt_ends_the_run_and_the_watch_and_leaves_nobody(watch, tmp_path):
    (tmp_path / "mine.py").write_text(FOREVER)
    run = watch()
    run.until("began")
    family = psutil.Process(run.process.pid).children(recursive=True)
    assert family
    run.process.send_signal(signal.SIGINT)
    seen = run.until("watched interrupted")
    assert any("stopping (drain)" in line for line in seen)
    assert run.process.wait(WITHIN_S) == 130
    assert not psutil.wait_procs(family, timeout=5)[1]


def test_a_watch_that_is_killed_takes_its_run_with_it(watch, tmp_path):
    (tmp_path / "mine.py").write_text(FOREVER)
    run = watch()
    run.until("began")
    family = psutil.Process(run.process.pid).children(recursive=True)
    run.process.kill()
    assert not psutil.wait_procs(family, timeout=20)[1]


@pytest.mark.long
def test_a_watch_that_is_stopped_stops_its_run_and_both_go_on_together(watch, tmp_path):
    (tmp_path / "mine.py").write_text(FOREVER)
    run = watch()
    run.until("began")
    watching = psutil.Process(run.process.pid)
    (guard,) = watching.children()
    (orchestrator,) = (each for each in guard.children() if each.cmdline() == guard.cmdline())
    mporch = (watching, guard, orchestrator)
    run.process.send_signal(signal.SIGTSTP)
    until_all(mporch, lambda each: each.status() == psutil.STATUS_STOPPED)
    run.process.send_signal(signal.SIGCONT)
    until_all(mporch, lambda each: each.status() != psutil.STATUS_STOPPED)
    (tmp_path / "mine.py").write_text(MINE)
    run.until("did this one")


def until_all(processes, holds):
    end = time.monotonic() + WITHIN_S
    while not all(map(holds, processes)):
        assert time.monotonic() < end, [each.status() for each in processes]
        time.sleep(0.02)
