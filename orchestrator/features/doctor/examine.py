"""Examines this machine for mporch: system, interpreter, protection, and where runs are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.filesize import decimal

from orchestrator.errors import MporchError, UsageError
from orchestrator.features.doctor.finding import Finding, Verdict
from orchestrator.features.doctor.interpreter import look_at_interpreter
from orchestrator.features.doctor.protection import look_at_protection
from orchestrator.features.doctor.system import look_at_system
from orchestrator.files import is_there, open_directory
from orchestrator.runlog.directory import home_of
from orchestrator.runlog.find import find_home
from orchestrator.runlog.inotify import FileWatch
from orchestrator.runlog.owners import Role, current_user, require

__all__ = ["Finding", "Verdict", "examine"]

_LITTLE_SPACE = 256 << 20


def examine(folder: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Called in the parent: yield what is found on this machine and for a project in `folder`.

    Some of it is tried out with real processes; it takes about a second.
    """
    yield from look_at_interpreter()
    yield from look_at_protection()
    yield from look_at_system()
    yield _file_watch()
    home = find_home(folder, environ) or home_of(folder, environ)
    yield run_home(home)
    yield durable_runs(_nearest(home))


def _file_watch() -> Finding:
    try:
        with tempfile.NamedTemporaryFile(prefix="mporch-doctor-") as file:
            FileWatch(Path(file.name)).close()
    except (MporchError, OSError) as error:
        means = "`mporch logs -f` does not follow a run"
        return Finding(name="inotify", verdict=Verdict.LIMITED, found=str(error), means=means)
    return Finding(name="inotify", verdict=Verdict.OK, found="works")


def run_home(home: Path) -> Finding:
    """Return whether run directories can be made in `home`, and what room there is for logs."""
    place = _nearest(home)
    if not os.access(place, os.W_OK | os.X_OK):
        means = "no run can be kept here: `--run-dir` or MPORCH_HOME names another place"
        return Finding(
            name="run directory", verdict=Verdict.BROKEN, found=f"{place}: read-only", means=means
        )
    free = shutil.disk_usage(place).free
    if (refused := _refusal(home)) is not None:
        found, means = str(refused), f"`mporch run` keeps no run there: {refused.hint}"
        return Finding(name="run directory", verdict=Verdict.BROKEN, found=found, means=means)
    little = free < _LITTLE_SPACE
    return Finding(
        name="run directory",
        verdict=Verdict.LIMITED if little else Verdict.OK,
        found=f"{home}, {decimal(free)} free",
        means="a run without room waits a minute, then ends with exit code 74" if little else "",
    )


def _refusal(home: Path) -> UsageError | None:
    """Return why no run is put into a folder that is there: it is another user's."""
    try:
        with open_directory(home, follow=True) as here:
            require(here, home, Role.HOLDER, current_user(os.environ))
    except UsageError as error:
        return error
    except OSError:
        return None
    return None


def durable_runs(place: Path) -> Finding:
    """Try out, in a folder that is removed again, whether a run's state can be kept in `place`."""
    name, version = "durable runs", f"SQLite {sqlite3.sqlite_version}"
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".mporch-doctor-", dir=place) as folder,
            contextlib.closing(sqlite3.connect(Path(folder, "state.db"))) as database,
        ):
            (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
            database.execute("CREATE TABLE tried (it)")
    except (OSError, sqlite3.Error) as error:
        mode = str(error)
    if mode == "wal":
        return Finding(name=name, verdict=Verdict.OK, found=f"{version}, with a write-ahead log")
    means = "`durable: true` does not work here: the file system must be a local one"
    return Finding(name=name, verdict=Verdict.LIMITED, found=f"{version}: {mode}", means=means)


def _nearest(home: Path) -> Path:
    """Return `home`, or the folder in which it, or its parent, would be made."""
    return next(folder for folder in (home, *home.parents) if is_there(folder))
