"""Finds runs: by id, by the beginning of an id, by `last`, or by the path of a directory.

What a run's log tells of its starts is read here too, and its plan where that is damaged or gone.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.errors import RunNotFoundError
from orchestrator.files import is_file, is_folder, open_directory
from orchestrator.plan.model import Plan, Selection
from orchestrator.runlog.directory import LOG_NAME, RunDirectory, home_of
from orchestrator.runlog.owners import User, current_user, require_found, require_given
from orchestrator.runlog.reader import LogReader

__all__ = [
    "LAST",
    "argument_for",
    "find_home",
    "first_start",
    "last_resumption",
    "list_runs",
    "open_to_run",
    "plan_of_log",
    "resolve",
    "resolve_here",
    "with_first_id",
]


LAST = "last"


def find_home(start: Path, environ: Mapping[str, str]) -> Path | None:
    """Return MPORCH_HOME, or the first `.mporch` with runs at `start` or above it."""
    if environ.get("MPORCH_HOME"):
        return home_of(start, environ)
    for folder in (start, *start.parents):
        if is_folder(folder / ".mporch" / "runs"):
            return folder / ".mporch"
    return None


def list_runs(home: Path) -> list[RunDirectory]:
    """Return the runs under `home`, the oldest first."""
    try:
        names = sorted(entry.name for entry in os.scandir(home / "runs") if entry.is_dir())
    except OSError:
        return []
    return [RunDirectory(run_id=name, path=home / "runs" / name) for name in names]


def resolve(home: Path | None, name: str) -> RunDirectory:
    """Return the run that `name` means: `last`, an id or its unique beginning, a directory.

    The log in the directory means it, too.

    What is in it may be read, whoever's it is; it is run after `open_to_run` only. Raises
    RunNotFoundError.
    """
    if os.sep in name or name == LOG_NAME or is_file(Path(name) / LOG_NAME):
        return _by_path(Path(name))
    runs = list_runs(home) if home else []
    if not runs:
        usual = "`mporch run` makes one; for a run elsewhere give the path of its directory"
        hint = _hint_in_folder(Path(name)) or usual
        raise RunNotFoundError("there are no runs here, nor in a folder above", hint=hint)
    if name == LAST:
        return runs[-1]
    found = [run for run in runs if run.run_id == name] or [
        run for run in runs if run.run_id.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunNotFoundError(
            f"{name!r} is the beginning of {len(found)} runs",
            hint=f"the latest of them is {found[-1].run_id}",
        )
    hint = _hint_in_folder(Path(name)) or _suggest(name, runs)
    raise RunNotFoundError(f"there is no run {name!r}", hint=hint)


def resolve_here(name: str) -> RunDirectory:
    """Return the run that `name` means in the working directory; see `resolve`."""
    return resolve(find_home(Path.cwd(), os.environ), name)


@contextlib.contextmanager
def open_to_run(run: RunDirectory, user: User | None = None) -> Iterator[RunDirectory]:
    """The run of which something is to be run, with its directory open.

    Raises UsageError if it is not the `user`'s; RunNotFoundError if it cannot be opened.
    """
    user = current_user(os.environ) if user is None else user
    with contextlib.ExitStack() as stack:
        try:
            fd = stack.enter_context(open_directory(run.path, follow=True))
            if run.given:
                require_given(fd, run.path, user)
            else:
                require_found(fd, run.path, run.path.parent.parent, user)
        except OSError as error:
            raise RunNotFoundError(f"cannot open {run.path}: {error.strerror}") from error
        yield msgspec.structs.replace(run, fd=fd)


def with_first_id(run: RunDirectory) -> RunDirectory:
    """Return the run with the id that its log begins with, whatever its directory is called."""
    given = _first_record(run).get("run")
    return msgspec.structs.replace(run, run_id=given) if given else run


def first_start(run: RunDirectory) -> str:
    """Return when the run's log begins, as RFC 3339 UTC; empty if it tells nothing."""
    return str(_first_record(run).get("ts", ""))


def last_resumption(run: RunDirectory) -> str:
    """Return when the last life of a run that was resumed began, as RFC 3339 UTC; else empty."""
    if not is_file(run.log_path):
        return ""
    found: Mapping[str, Any] = {}
    with LogReader(run.log_path) as log:
        for found in log.having("run.resumed"):  # noqa: B007 -- the last one
            pass
    return str(found.get("ts", ""))


def _first_record(run: RunDirectory) -> Mapping[str, Any]:
    if not is_file(run.log_path):
        return {}
    with LogReader(run.log_path) as log:
        return next((record for record in log.available() if isinstance(record, dict)), {})


def argument_for(run: RunDirectory, start: Path, environ: Mapping[str, str]) -> str:
    """Return what names `run` on a command line in `start`."""
    home = find_home(start, environ)
    if home is not None and run.path.parent == home / "runs":
        return LAST if list_runs(home)[-1:] == [run] else run.run_id
    return os.path.relpath(run.path, start) if run.path.is_relative_to(start) else str(run.path)


def _by_path(path: Path) -> RunDirectory:
    if path.name == LOG_NAME and is_file(path):
        path = path.parent
    if not is_folder(path):
        raise RunNotFoundError(f"there is no run directory {path}")
    if not os.access(path, os.X_OK):
        raise RunNotFoundError(f"cannot open {path}: {os.strerror(errno.EACCES)}")
    if not is_file(path / LOG_NAME):
        message = f"{path} is not a run directory: it has no {LOG_NAME}"
        raise RunNotFoundError(message, hint=_hint_in_folder(path))
    found = Path(os.path.realpath(path))  # links on the way to it are the user's own
    return RunDirectory(run_id=found.name, path=found, given=True)


def _hint_in_folder(path: Path) -> str:
    """Name the latest run of the project in a folder, or of a folder that has runs."""
    for home in (path / ".mporch", path, path.parent):
        if is_folder(home / "runs") and (home != path.parent or path.name == "runs"):
            runs = list_runs(home)
            return f"its latest run is {runs[-1].path}" if runs else ""
    return ""


def _suggest(name: str, runs: list[RunDirectory]) -> str:
    close = difflib.get_close_matches(name, [run.run_id for run in runs] + [LAST], n=1)
    wanted = f"did you mean {close[0]}? " if close else ""
    return f"{wanted}`mporch runs` lists them"


_BEGUN = frozenset({"run.started", "run.resumed"})


def plan_of_log(run: RunDirectory) -> Plan | None:
    """Return a plan without jobs: where its spec was, and which jobs of it were left out.

    None if the log does not tell, or the spec was no file, whose folder nothing else tells. A spec
    that is not what the run has kept has changed since, or had layers laid over it: what was kept
    is then taken for one. Raises DamagedStoreError if the spec is gone, too.
    """
    begun = _last_begin(run)
    spec, left_out = begun.get("spec"), begun.get("left_out") or []
    if not isinstance(spec, str) or not Path(spec).is_absolute() or not isinstance(left_out, list):
        return None
    names = tuple(map(str, left_out))
    is_same = not is_file(spec) or run.spec_is(Path(spec))
    return Plan(
        name=str(begun.get("name", "")),
        spec_path=spec,
        project_dir=str(Path(spec).parent),
        queues={},
        jobs={},
        layers=() if is_same else (spec, str(run.spec_path)),
        selection=Selection(skip=names, left_out=names),
    )


def _last_begin(run: RunDirectory) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    if is_file(run.log_path):
        with LogReader(run.log_path) as log:
            for record in log.available():
                if isinstance(record, dict) and record.get("event") in _BEGUN:
                    found = record
    return found
