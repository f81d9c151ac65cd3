"""One run: begun, ended in one way at one moment, and looked for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import yaml

from .remains import GONE_WITHIN_S, Seen, gone_after_s, segments, tagged
from .ways import WAYS, Place, send

COMMAND = str(Path(sys.executable).with_name("mporch"))
HERE = Path(__file__).parent
LONGEST_S = 30.0
"""So long a run may take to end once it was told to; only one that hangs takes that."""
_EARLY_S = 0.7
"""By then everything of a run is there, on an idle machine."""
_MOST_TOLD = 8
_READ_EVERY_S = 0.02
_CTRL_C = b"\x03"
_CAPABILITIES = "-all,+dac_read_search,+dac_override"
_ANOTHER = (
    *("setpriv", "--reuid=54323", "--regid=54323", "--clear-groups"),
    *(f"--inh-caps={_CAPABILITIES}", f"--ambient-caps={_CAPABILITIES}", "--"),
)
"""Another user, who may read and write what root may, and signal no process of root's."""
_IMMUNE = """
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    if (setuid(0)) return 3;
    setsid();
    close(open("is-immune", O_CREAT | O_WRONLY, 0644));
    alarm(300);
    for (;;) pause();
}
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed makes of a run: the way it ends, and when.

    `early`: at any moment from its first on; else once everything is running. `stubborn`: with a
    job that has to be killed. `flees`: with processes that leave session, group and parent all the
    time.
    """

    seed: int
    way: str
    early: bool
    moment_s: float
    gaps_s: tuple[float, float]
    stubborn: bool
    method: str
    flees: bool

    @classmethod
    def of(cls, seed: int) -> Plan:
        chance = random.Random(seed)
        ways = list(WAYS)
        early = chance.random() < 0.3
        return cls(
            seed=seed,
            way=ways[seed % len(ways)],
            early=early,
            moment_s=chance.uniform(0, _EARLY_S) if early else chance.expovariate(1 / 0.1),
            gaps_s=(chance.expovariate(1 / 0.05), chance.expovariate(1 / 0.05)),
            stubborn=chance.random() < 0.5,
            method=chance.choice(["fork", "forkserver", "forkserver", "spawn"]),
            flees=chance.random() < 0.5,
        )

    @property
    def is_stubborn(self) -> bool:
        """Whether a job is deaf, of those ways in which somebody kills it."""
        return self.stubborn and not WAYS[self.way].finite

    def spec(self, tag: str) -> dict[str, object]:
        """A pipeline, and jobs that start and hold what a run can leave behind."""
        way = WAYS[self.way]
        stays = not way.finite
        here = "ends_targets:{}".format
        jobs: dict[str, dict[str, object]] = {
            "count": {
                "target": here("count"),
                "args": [stays],
                "output": "a",
                "start_method": "fork",
            },
            "take": {
                "target": here("take"),
                "kwargs": {"how": way.how},
                "input": "a",
                "output": "b",
                "workers": 2,
                "restart": {"max": 0},
                "limits": {"memory": "300MB"} if way.how == "eat" else {},
            },
            "drop": {"target": here("drop"), "input": "b", "restart": {"max": 0}},
            "family": {
                "target": here("family"),
                "args": [tag, stays, self.flees],
                "start_method": self.method,
            },
        }
        if self.is_stubborn:
            jobs["stubborn"] = {"target": here("stubborn"), "terminate": {"grace": "300ms"}}
        if way.immune:
            jobs["immune"] = {"target": here("immune")}
        return {
            "version": 1,
            "pythonpath": [str(HERE)],
            "queues": {"a": 10, "b": {"maxsize": 10, "max_bytes": "1MB"}},
            "jobs": jobs,
            **({"timeout": f"{1 + self.moment_s:.3f}s"} if way.timeout else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of it. `gone_s` is counted from the command's end; `problems` should be none."""

    plan: Plan
    exit_code: int | None
    gone_s: float
    processes: int
    held: int
    problems: tuple[str, ...]


def play(plan: Plan, base: Path) -> Verdict:
    """Begin a run in a new folder, end it, and look for what is left."""
    folder = Path(tempfile.mkdtemp(prefix=f"{plan.seed}-", dir=base))
    run = Run(plan, folder)
    try:
        return run.verdict()
    finally:
        run.close()
        shutil.rmtree(folder)


class Run:
    """A command that runs in a session of its own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._way = WAYS[plan.way]
        self._folder = folder
        self._tag = uuid.uuid4().hex
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._seen = Seen(segments=segments())
        (folder / "jobs.yaml").write_text(yaml.safe_dump(plan.spec(self._tag)))
        if self._way.immune:
            _compile_immune(folder)
        with contextlib.ExitStack() as files:
            self._reader, where = self._place(files)
            terminal = self._way.place is Place.TERMINAL
            self._guard = subprocess.Popen(
                [*(_ANOTHER if self._way.immune else ()), COMMAND, "run", "--run-dir", "run"],
                cwd=folder,
                env={**os.environ, "TMPDIR": str(self._temporary), "MPORCH_ENDS_TAG": self._tag},
                stdin=where if terminal else subprocess.DEVNULL,
                stdout=where,
                stderr=where,
                start_new_session=True,
                preexec_fn=_take_terminal if terminal else _hear_all,  # noqa: PLW1509 -- system calls
            )

    def _place(self, files: contextlib.ExitStack) -> tuple[int, int]:
        """Our end of where it prints, if there is one, and its own end."""
        if self._way.place is Place.FILE:
            return -1, files.enter_context((self._folder / "out").open("wb")).fileno()
        ours, theirs = os.pipe() if self._way.place is Place.PIPE else os.openpty()
        os.set_blocking(ours, False)
        files.callback(os.close, theirs)
        return ours, theirs

    def verdict(self) -> Verdict:
        """End it, and say what is left."""
        problems: list[str] = []
        if not self._plan.early and not self._is_running():
            problems.append("never came to run")
        self._pass(self._plan.moment_s)
        self._seen.look(self._tag)
        self._end()
        code = self._wait()
        if self._way.immune and code is not None:
            problems += self._kill_the_immune()
        gone_s, remains = gone_after_s(self._tag, self._seen, self._folder, LONGEST_S)
        if code is None:
            problems.append(f"hangs: still there after {LONGEST_S} s")
        elif code not in self._way.codes and not self._plan.early:
            problems.append(f"exit code {code}, not {self._way.codes}: {self._told()}")
        word = "left" if gone_s >= LONGEST_S else f"late, there for {gone_s:.1f} s"
        if gone_s > GONE_WITHIN_S:
            problems += [f"{word}: {what}" for what in remains[:_MOST_TOLD]] or [word]
        return Verdict(
            plan=self._plan,
            exit_code=code,
            gone_s=gone_s,
            processes=len(self._seen.processes),
            held=len(self._seen.sockets) + len(self._seen.others),
            problems=tuple(problems),
        )

    def _kill_the_immune(self) -> list[str]:
        """Kill who may have survived; say of whom the run has not told."""
        immune = [pid for pid in tagged(self._tag) if _name_of(pid) == "immune"]
        told = (self._folder / "out").read_text(errors="replace")
        for pid in immune:
            os.kill(pid, signal.SIGKILL)
        untold = [
            f"not told: {pid}" for pid in immune if f"immune (pid {pid}, of root)" not in told
        ]
        return untold if immune or self._plan.early else ["nobody has survived"]

    def _is_running(self) -> bool:
        """Wait until every job is at work, or the run has ended."""
        wanted = ["family", "stubborn"] if self._plan.is_stubborn else ["family"]
        deadline = time.monotonic() + LONGEST_S
        while not all((self._folder / name).exists() for name in wanted):
            if time.monotonic() > deadline:
                return False
            if self._ends_within(0.01):
                return self._way.timeout
        return True

    def _end(self) -> None:
        """Do what ends it, or let it end."""
        way = self._way
        (self._folder / "go").touch()
        if way.closes:
            os.close(self._reader)
            self._reader = -1
        for gap_s, _ in zip((*self._plan.gaps_s, 0.0), range(way.types), strict=False):
            with contextlib.suppress(OSError):
                os.write(self._reader, _CTRL_C)
            self._pass(gap_s)
        for gap_s, (signum, whom) in zip(self._plan.gaps_s, way.signals, strict=False):
            self._send(signum, whom)
            self._pass(gap_s)

    def _send(self, signum: int, whom: str) -> None:
        """Send it as soon as there is somebody to send it to."""
        while self._guard.poll() is None and not send(signum, whom, self._guard.pid):
            self._pass(0.005)

    def _wait(self) -> int | None:
        return self._guard.returncode if self._ends_within(LONGEST_S) else None

    def _pass(self, seconds: float) -> None:
        """Let so much time pass, or the run end."""
        self._ends_within(seconds)

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            self._read()
            left_s = deadline - time.monotonic()
            at_most_s = _READ_EVERY_S if self._reader >= 0 else LONGEST_S
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(max(0.0, min(at_most_s, left_s)))
                return True
            if left_s <= 0:
                return False

    def _read(self) -> None:
        """Read what it prints, as a terminal does, so that it never waits for us."""
        if self._reader >= 0:
            with contextlib.suppress(OSError), (self._folder / "out").open("ab") as out:
                while printed := os.read(self._reader, 1 << 16):
                    out.write(printed)

    def _told(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "out").read_text(errors="replace")[-600:]
        return ""

    def close(self) -> None:
        """Leave nothing of it, whatever it did."""
        if self._reader >= 0:
            os.close(self._reader)
        for pid in tagged(self._tag):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._guard.kill()
        self._guard.wait()


def _take_terminal() -> None:
    """Called in the child: what is typed at standard input reaches it as signals."""
    _hear_all()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _hear_all() -> None:
    """Called in the child: what a shell has told us to ignore, it hears."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)


def _compile_immune(folder: Path) -> None:
    """A program of root's that any user may start with root's rights."""
    (folder / "immune.c").write_text(_IMMUNE)
    subprocess.run(["cc", "-o", "immune", "immune.c"], cwd=folder, check=True)
    (folder / "immune").chmod(0o4755)


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
