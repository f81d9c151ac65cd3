"""The live run that a command means: the one named, or the one there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import RunNotFoundError, UsageError
from orchestrator.files import is_there
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import find_home, list_runs, resolve

__all__ = ["live_run", "live_runs", "run_or_only_one"]

_MOST_NAMED = 10


def live_runs(home: Path | None) -> list[RunDirectory]:
    """Return the runs under `home` that go on, the oldest first."""
    return [run for run in list_runs(home) if run.is_alive] if home is not None else []


def run_or_only_one(name: str | None, start: Path, environ: Mapping[str, str]) -> RunDirectory:
    """Return the run `name` means, whether it goes on or not; without a name the one that does.

    Raises RunNotFoundError, if it cannot be read, too; UsageError if several go on.
    """
    home = find_home(start, environ)
    if name is not None:
        return _readable(resolve(home, name))
    found = live_runs(home)
    if len(found) == 1:
        return found[0]
    if not found:
        last = list_runs(home)[-1:] if home is not None else []
        hint = f"the last one was {last[0].run_id}: mporch show last" if last else ""
        raise RunNotFoundError("no run is going on here, nor in a folder above", hint=hint)
    named = [f"{run.run_id} ({_called(run)})" for run in found[-_MOST_NAMED:]]
    more = len(found) - len(named)
    text = ", ".join(named) + (f" and {more} more" if more else "")
    raise UsageError(f"{len(found)} runs are going on: {text}", hint="name one of them")


def live_run(name: str | None) -> RunDirectory:
    """Return the run that goes on and is meant, seen from the working directory.

    Raises RunNotFoundError if it has ended; as `run_or_only_one` else.
    """
    run = run_or_only_one(name, Path.cwd(), os.environ)
    if not run.is_alive:
        raise RunNotFoundError(
            f"run {run.run_id} is not going on: it has ended", hint=f"mporch show {run.run_id}"
        )
    return run


def _readable(run: RunDirectory) -> RunDirectory:
    """Return the run. Raises RunNotFoundError where nobody can tell whether it goes on."""
    if is_there(run.log_path) and not os.access(run.log_path, os.R_OK):
        raise RunNotFoundError(
            f"run {run.run_id} is that of another user: its log cannot be read",
            hint="ask as its user",
        )
    return run


def _called(run: RunDirectory) -> str:
    plan = run.read_plan()
    pid = run.pid
    return ", ".join(
        [*([plan.name] if plan is not None else []), *([f"pid {pid}"] if pid is not None else [])]
    )
