"""Examines this machine for mporch: system, interpreter, protection, and where runs are kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.filesize import decimal

from orchestrator.errors import MporchError
from orchestrator.runlog.directory import home_of
from orchestrator.runlog.find import find_home
from orchestrator.runlog.inotify import Watch
from orchestrator.runtime.doctor.finding import Finding, Verdict
from orchestrator.runtime.doctor.interpreter import look_at_interpreter
from orchestrator.runtime.doctor.protection import look_at_protection
from orchestrator.runtime.doctor.system import look_at_system

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
    yield run_home(find_home(folder, environ) or home_of(folder, environ))


def _file_watch() -> Finding:
    try:
        with tempfile.NamedTemporaryFile(prefix="mporch-doctor-") as file:
            Watch(Path(file.name)).close()
    except (MporchError, OSError) as error:
        means = "`mporch logs -f` does not follow a run"
        return Finding(name="inotify", verdict=Verdict.LIMITED, found=str(error), means=means)
    return Finding(name="inotify", verdict=Verdict.OK, found="works")


def run_home(home: Path) -> Finding:
    """Return whether run directories can be made in `home`, and what room there is for logs."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        means = "no run can be kept here: `--run-dir` or MPORCH_HOME names another place"
        return Finding(
            name="run directory", verdict=Verdict.BROKEN, found=f"{place}: read-only", means=means
        )
    free = shutil.disk_usage(place).free
    little = free < _LITTLE_SPACE
    return Finding(
        name="run directory",
        verdict=Verdict.LIMITED if little else Verdict.OK,
        found=f"{home}, {decimal(free)} free",
        means="a run ends with exit code 74 when its log has no room left" if little else "",
    )
