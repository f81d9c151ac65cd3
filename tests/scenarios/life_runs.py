"""A run of mporch as its user has it: a command in a folder, its log, its end, and no remains."""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
import uuid
from pathlib import Path

import psutil

COMMAND = str(Path(sys.executable).with_name("mporch"))
DEADLINE_S = 40.0
"""For what happens at once on an idle machine; only a failing test waits for so long."""

GONE_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.01
_MARK = "MPORCH_TEST_MARK"


def until(look, what, within_s=DEADLINE_S):
    """Return what `look` gives once that is true; fail when it is not in time."""
    end = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {within_s} s"
        time.sleep(_LOOK_EVERY_S)
    return seen


class Log:
    """The records of a log.jsonl that may still be written."""

    def __init__(self, run_dir):
        self.path = run_dir / "log.jsonl"

    @property
    def records(self):
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]
        return []

    def having(self, event, **fields):
        """The records of that event whose fields have these values."""
        wanted = {"event": event, **fields}
        return [r for r in self.records if all(r.get(k) == v for k, v in wanted.items())]

    def wait(self, event, *, count=1, within_s=DEADLINE_S, **fields):
        """Return the record of that event, the latest of `count`, once it is there."""
        found = until(
            lambda: len(seen := self.having(event, **fields)) >= count and seen,
            f"{count} {event} {fields or ''} in {self.path}",
            within_s,
        )
        return found[count - 1]

    def printed(self, worker):
        """The lines that a worker has written."""
        return [record["msg"] for record in self.having("output", worker=worker)]

    def place(self, event, **fields):
        """Where in the log the only such record is, counted from 0."""
        (record,) = self.having(event, **fields)
        return self.records.index(record)


class Ended:
    """How a run has ended."""

    def __init__(self, exit_code, folder, log):
        self.exit_code = exit_code
        self.log = log
        self.stdout = (folder / "stdout").read_text()
        self.stderr = (folder / "stderr").read_text()
        self._summary = log.path.with_name("summary.json")

    @functools.cached_property
    def summary(self):
        return json.loads(self._summary.read_bytes())

    @property
    def reason(self):
        return self.summary["reason"]

    def statuses(self):
        return {name: job["status"] for name, job in self.summary["jobs"].items()}

    def codes(self):
        return {name: job["exit_codes"] for name, job in self.summary["jobs"].items()}

    def ledger(self, queue):
        """What became of the queue's items, in words: {"put": 3, "done": 3}."""
        ends = ("put", "done", "skipped", "dropped", "dead", "left")
        counts = {end: self.summary["queues"][queue][end] for end in ends}
        assert counts["put"] == sum(counts.values()) - counts["put"], counts
        return {end: n for end, n in counts.items() if n}


class Life:
    """One run: begun, watched, hurt, ended."""

    def __init__(
        self,
        folder,
        spec,
        code,
        *options,
        terminal=None,
        through=None,
        more=None,
        command=(COMMAND,),
    ):
        """Begin it: on a terminal, or with stdout and stderr both piped `through` a command."""
        self._words = command
        self.folder = folder
        self.temporary = Path(tempfile.mkdtemp(prefix="life-", dir="/tmp"))
        self.log = Log(folder / "run")
        self._mark = uuid.uuid4().hex
        (folder / "jobs.yaml").write_text("version: 1\n" + textwrap.dedent(spec))
        for name, text in {"t.py": code, **(more or {})}.items():
            (folder / name).write_text(textwrap.dedent(text))
        self.guard = self._command(
            "run", "--run-dir", "run", *options, terminal=terminal, through=through
        )

    def resume(self):
        """Go on with a run that has ended."""
        self.guard = self._command("resume", "./run")

    def _command(self, *words, terminal=None, through=None):
        with contextlib.ExitStack() as files:
            out, err = (
                files.enter_context((self.folder / name).open("wb"))
                for name in ("stdout", "stderr")
            )
            where = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
            if terminal is not None:
                where = dict.fromkeys(where, terminal)
            if through is not None:
                reader = subprocess.Popen(through, shell=True, stdin=subprocess.PIPE, stdout=out)
                files.enter_context(reader.stdin)
                where |= dict.fromkeys(("stdout", "stderr"), reader.stdin)
            return subprocess.Popen(
                [*self._words, *words],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.temporary), _MARK: self._mark},
                start_new_session=True,
                preexec_fn=None if terminal is None else _take_terminal,  # noqa: PLW1509 -- one ioctl
                **where,
            )

    @property
    def orchestrator(self):
        """The pid of the inner process, once it has said so."""
        return self.log.wait("run.started")["pid"]

    def pid(self, worker):
        """The pid of a worker, once it is ready."""
        return self.log.wait("worker.ready", worker=worker)["pid"]

    def said(self, text, **fields):
        """Wait until a target has printed that line."""
        return self.log.wait("output", msg=text, **fields)

    def interrupt(self):
        """A Ctrl-C, as `kill -INT` of the command gives it."""
        self.guard.send_signal(signal.SIGINT)

    def end(self, within_s=DEADLINE_S):
        """Return how it ended, once it has; everything it began is gone soon after."""
        code = self.guard.wait(within_s)
        self.gone()
        return Ended(code, self.folder, self.log)

    def gone(self):
        """Wait until no process and no file outside the run directory is left."""
        until(lambda: not self.processes(), f"left: {self.processes()}", GONE_WITHIN_S)
        assert not list(self.temporary.iterdir())

    def processes(self):
        """Every process of the run, whoever its parent is."""
        return [p for p in psutil.process_iter() if _environ(p).get(_MARK) == self._mark]

    def close(self):
        """Leave nothing behind, whatever the test did."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.guard.wait(DEADLINE_S)
        shutil.rmtree(self.temporary, ignore_errors=True)


def _take_terminal():
    """Called in the child: what is typed at standard input reaches us as signals."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _environ(process):
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except (psutil.Error, OSError):
        return {}
