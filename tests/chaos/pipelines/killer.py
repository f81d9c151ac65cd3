"""Kills and stops of a run's workers, from outside, at moments that nobody has chosen."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..processes import children
from .model import Pipeline

_BLOWS = {signal.SIGKILL: 14, signal.SIGSEGV: 2, signal.SIGABRT: 2, signal.SIGSTOP: 4}
_LONGEST_STOP_S = 0.4
_TO_THE_SUCCESSOR = 0.25
_LONGEST_REST_S = 0.08
_IN_A_ROW = (1, 1, 2, 8)
_TRACKER = b"resource_tracker import main"
_FORKSERVER = b"forkserver import main"


@dataclass(kw_only=True)
class Deaths:
    """What the killer has done in one life: workers by process, and how often each signal."""

    pids: set[int] = field(default_factory=set)
    signals: Counter[str] = field(default_factory=Counter)


class Killer:
    """Kills workers of one life of a run.

    Those of jobs that are called once, and so fail their job, are hit with a chance of `once` only;
    whom nobody knows yet is hit if it can only be one that is replaced, or if `once` is above 0.
    """

    def __init__(
        self, pipeline: Pipeline, run: Path, guard: int, chance: random.Random, *, once: float
    ) -> None:
        self._pipeline = pipeline
        self._guard = guard
        self._chance = chance
        self._once = once
        self._has_strangers = any(job.shape == "beside" for job in pipeline.jobs.values())
        """Whether a child of the orchestrator may be what a target has left behind on purpose."""
        self._log = _Starts(run / "log.jsonl")
        self._stopped: dict[int, float] = {}
        self.deaths = Deaths()

    @property
    def has_begun(self) -> bool:
        """Whether a worker was started, as far as was looked."""
        return bool(self._log.jobs)

    def look(self) -> None:
        """Read who was started, and continue those whose stop is over."""
        self.wake()
        self._log.read()

    def strike(self) -> None:
        """Kill or stop one worker, if there is any that may be."""
        workers = _workers(self._guard)
        known = {pid: self._log.jobs[pid] for pid in workers if pid in self._log.jobs}
        young = [pid for pid in workers if pid not in known]
        victims = [pid for pid, job in known.items() if self._pipeline.jobs[job].replaced]
        if self._has_strangers:
            young = []
        if self._chance.random() < self._once:
            victims = list(known)
        elif not self._may_be_once(known):
            victims = young if young and self._chance.random() < 0.3 else victims + young
        if victims:
            self._hit(self._chance.choice(victims))

    def _may_be_once(self, known: dict[int, str]) -> bool:
        """Whether a worker that is not known yet may be one of a job that is called once.

        A task waits for as long as a worker of the job that it is `after` is there.
        """
        there = set(known.values())
        wanted: Counter[str] = Counter()
        for job in self._pipeline.jobs.values():
            after = job.keys.get("after")
            waits = isinstance(after, dict) and "ready" not in after.values() and there & set(after)
            if not (job.replaced or waits):
                wanted[job.name] = job.workers
        return bool(wanted - self._log.started)

    def _hit(self, pid: int) -> None:
        [blow] = self._chance.choices(list(_BLOWS), list(_BLOWS.values()))
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if pid not in _workers(self._guard):
                return  # the number may be another's by now
            signal.pidfd_send_signal(pidfd, blow)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)
        self.deaths.signals[blow.name] += 1
        if blow == signal.SIGSTOP:
            until = time.monotonic() + self._chance.uniform(0.02, _LONGEST_STOP_S)
            self._stopped.setdefault(pid, until)
            return
        self.deaths.pids.add(pid)
        if self._chance.random() < _TO_THE_SUCCESSOR and not self._has_strangers:
            self._hit_successor()

    def _hit_successor(self) -> None:
        """Kill who takes the place of a worker that was killed, and who takes that of the next.

        Nobody tells of a fork, and to sleep would be to miss it.
        """
        if self._may_be_once({pid: self._log.jobs.get(pid, "") for pid in _workers(self._guard)}):
            return
        servers = _forkservers(self._guard)
        before = {pid: set(children(pid)) for pid in servers}
        left = self._chance.choice(_IN_A_ROW)
        deadline = time.monotonic() + _LONGEST_REST_S
        while left and time.monotonic() < deadline:
            for server in servers:
                for new in set(children(server)) - before[server]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(new, signal.SIGKILL)
                    self.deaths.signals.update(SIGKILL=1, at_their_fork=1)
                    self.deaths.pids.add(new)
                    before[server].add(new)
                    left, deadline = left - 1, time.monotonic() + _LONGEST_REST_S

    def wake(self, *, all_of_them: bool = False) -> None:
        """Continue those whose stop is over."""
        now = time.monotonic()
        for pid, until in list(self._stopped.items()):
            if all_of_them or now >= until:
                del self._stopped[pid]
                if pid in _workers(self._guard):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)


class _Starts:
    """Follows the log for the workers that were started since it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self.jobs: dict[int, str] = {}
        self.started: Counter[str] = Counter()

    def read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                if b'"worker.started"' in line:
                    record = json.loads(line)
                    self.jobs[record["pid"]] = record["job"]
                    self.started[record["job"]] += 1


def _workers(guard: int) -> list[int]:
    """The workers of a run: children of its orchestrator and of their forkserver."""
    found = []
    for orchestrator in children(guard):
        for pid in children(orchestrator):
            program = _program(pid)
            if _FORKSERVER in program:
                found += children(pid)
            elif program and _TRACKER not in program:
                found.append(pid)
    return found


def _forkservers(guard: int) -> list[int]:
    processes = [pid for orchestrator in children(guard) for pid in children(orchestrator)]
    return [pid for pid in processes if _FORKSERVER in _program(pid)]


def _program(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
