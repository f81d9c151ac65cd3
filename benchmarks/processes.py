"""A command measured from outside: seconds, and the processor time of all its processes."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 300.0
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 10.0
"""The time that forkservers and resource trackers have for their own end."""


class FailedError(Exception):
    """A command that did not end well; the end of its stderr is the text."""


@dataclass(frozen=True)
class Took:
    """One command's cost."""

    wall_s: float
    cpu_s: float
    """User and system time of the command and all that it started, daemons included."""


def adopt_orphans() -> None:
    """Make this process the parent of orphans below it: what they used is counted here."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(
    command: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Took:
    """Run a command in a folder to the end of its last process. Raises FailedError.

    Without `adopt_orphans` the processor time of orphans is missing.
    """
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    others = _children()
    before, began = _cpu_s(), time.perf_counter()
    with (folder / "stderr").open("w+") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**surroundings, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            process_group=0,
        )
        try:
            in_time = _has_ended(process.pid, timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        code = process.returncode if in_time else None
        wall_s = time.perf_counter() - began
        _reap_orphans(others)
        if code:
            stderr.seek(0)
            said = [line.strip() for line in stderr if line.strip()]
            raise FailedError(" / ".join(said[-3:]) or f"exit code {code}")
    if code is None:
        raise FailedError(f"had not ended after {timeout_s:.0f} s")
    return Took(wall_s, _cpu_s() - before)


def _has_ended(pid: int, timeout_s: float) -> bool:
    """Wait for its end: `Popen.wait` with a timeout looks now and then, up to 50 ms too late."""
    pidfd = os.pidfd_open(pid)
    try:
        return bool(select.select([pidfd], [], [], timeout_s)[0])
    finally:
        os.close(pidfd)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def _reap_orphans(others: set[int]) -> None:
    """Wait for the adopted processes, all but those that were there; who stays is killed."""
    deadline = time.monotonic() + _GRACE_S
    while adopted := _children() - others:
        pid = adopted.pop()
        pidfd = os.pidfd_open(pid)
        try:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([pidfd], [], [], left)[0]:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
        os.waitpid(pid, 0)


def lay_targets(folder: Path) -> None:
    """Make `import benchmarks` work in a folder, without the product that lies beside it.

    So an interpreter that has another build of mporch runs that, and not this tree's.
    """
    link = folder / "benchmarks"
    if not link.exists():
        link.symlink_to(ROOT / "benchmarks")


def lay_spec(folder: Path, jobs: dict[str, Any], queues: dict[str, Any], **keys: Any) -> None:
    """Write `jobs.yaml`, whose targets are of this package."""
    lay_targets(folder)
    spec = {"version": 1, "pythonpath": [str(folder)], **keys, "queues": queues, "jobs": jobs}
    (folder / "jobs.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def mporch(*arguments: str, python: str = sys.executable) -> list[str]:
    """The command that runs `jobs.yaml` and shows nothing."""
    return [python, "-m", "orchestrator", "run", "--output", "none", *arguments]


def stamps(folder: Path) -> list[float]:
    """The times that targets have noted in the folder's clock."""
    path = folder / "clock"
    return [float(line) for line in path.read_text().split()] if path.exists() else []
