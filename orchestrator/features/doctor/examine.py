"""Examines this machine for mporch: system, interpreter, protection, and where runs are kept."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import platform
import re
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess
from pathlib import Path

from rich.filesize import decimal

from orchestrator import compiled
from orchestrator.errors import MporchError, UsageError
from orchestrator.features.doctor.finding import Finding, Verdict
from orchestrator.features.doctor.protection import look_at_protection
from orchestrator.files import is_there, open_directory
from orchestrator.free_threading import is_free_threaded
from orchestrator.kernel.limits import PER_WORKER, RESERVE
from orchestrator.machine import machine
from orchestrator.machine.cgroups import Allowance, read_allowance
from orchestrator.plan.model import StartMethod
from orchestrator.runlog.directory import home_of
from orchestrator.runlog.find import find_home
from orchestrator.runlog.owners import Role, current_user, require
from orchestrator.runlog.reader import FileWatch

__all__ = [
    "EXTRAS",
    "examine",
    "look_at_interpreter",
    "look_at_system",
    "start_method",
]


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


EXTRAS: Mapping[str, tuple[str, str]] = {
    "graph": ("renderdag", "`mporch graph` is a list with arrows, without rails"),
    "svg": ("graphlay", "`mporch graph --format svg` draws no picture; dot and mermaid do"),
    "watch": ("watchfiles", "`mporch run --watch` does not run"),
}
"""Each extra with the module it brings, and what is lost without it."""

_PROCESSES: Mapping[StartMethod, type[ForkProcess | ForkServerProcess | SpawnProcess]] = {
    StartMethod.FORKSERVER: ForkServerProcess,
    StartMethod.SPAWN: SpawnProcess,
    StartMethod.FORK: ForkProcess,
}
_OLDEST_KERNEL = (5, 4)
_PATIENCE_S = 20.0


def look_at_interpreter() -> Iterator[Finding]:
    """Yield what there is of system, Python, start methods, YAML reader and extras."""
    yield system(platform.system(), platform.release())
    yield python()
    yield build(compiled.form(), compiled.why_pure())
    for method in StartMethod:
        yield start_method(method)
    yield yaml_reader()
    for extra, (module, lost) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        yield Finding(
            name=f"extra {extra}",
            verdict=Verdict.OK if there else Verdict.LIMITED,
            found="installed" if there else "not installed",
            means="" if there else f"{lost}; pip install 'mporch[{extra}]'",
        )


def system(name: str, release: str) -> Finding:
    """Return whether this is a system that mporch is made for."""
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    made_for = name == "Linux" and version >= _OLDEST_KERNEL
    return Finding(
        name="system",
        verdict=Verdict.OK if made_for else Verdict.LIMITED,
        found=f"{name} {release}",
        means="" if made_for else "runs are made for Linux 5.4 or newer, and tested only there",
    )


def python() -> Finding:
    """Return the interpreter, and whether it is one that is slower than others, or refused."""
    found = f"{platform.python_version()} ({sys.executable})"
    if is_free_threaded():
        means = "free-threaded: its workers would rely on a global lock; take a standard build"
        return Finding(name="python", verdict=Verdict.BROKEN, found=found, means=means)
    if hasattr(sys, "gettotalrefcount"):
        means = "a debug build: every function of yours takes several times as long"
        return Finding(name="python", verdict=Verdict.SLOWER, found=found, means=means)
    if sys.flags.dev_mode:
        means = "its development mode is on: allocations are checked"
        return Finding(name="python", verdict=Verdict.SLOWER, found=found, means=means)
    return Finding(name="python", verdict=Verdict.OK, found=found)


def build(form: str, why_pure: str) -> Finding:
    """Return which modules of mporch are compiled, and why none is if some were to be."""
    means = ""
    if form == "pure":
        means = f"{why_pure or 'installed so'}; README says what compiles it"
    elif form == "partly":
        means = "some of its modules are compiled and some not: install it anew"
    verdict = Verdict.SLOWER if means else Verdict.OK
    found = compiled.form_in_words(form)
    return Finding(name="build", verdict=verdict, found=found, means=means)


def start_method(method: StartMethod) -> Finding:
    """Called in the parent: start two processes by `method`, and return how long the second took.

    The first of them may have to start a server.
    """
    name = f"start by {method.value}"
    default = StartMethod.FORKSERVER
    if method.value not in multiprocessing.get_all_start_methods():
        means = "workers start by spawn" if method is default else "a spec cannot ask for it"
        slower = Verdict.SLOWER if method is default else Verdict.LIMITED
        return Finding(name=name, verdict=slower, found="not on this system", means=means)
    try:
        _start(method)
        seconds = _start(method)
    except OSError as error:
        broken = Verdict.BROKEN if method is default else Verdict.LIMITED
        means = "no worker starts by it"
        return Finding(name=name, verdict=broken, found=f"failed: {error}", means=means)
    return Finding(name=name, verdict=Verdict.OK, found=f"{seconds * 1000:.0f} ms a process")


def _start(method: StartMethod) -> float:
    """Start a process and wait for its end; return the seconds. Raises OSError if it fails."""
    began = time.monotonic()
    process = _PROCESSES[method](target=os.getpid)
    process.start()
    process.join(_PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    if process.exitcode:
        raise ChildProcessError(f"the process ended with {process.exitcode}")
    return time.monotonic() - began


def yaml_reader() -> Finding:
    """Return whether specs are read by PyYAML's C library."""
    import yaml  # noqa: PLC0415

    if hasattr(yaml, "CSafeLoader"):
        return Finding(name="yaml", verdict=Verdict.OK, found=f"PyYAML {yaml.__version__} with C")
    means = "large specs take about ten times as long to read"
    found = f"PyYAML {yaml.__version__} without its C library"
    return Finding(name="yaml", verdict=Verdict.SLOWER, found=found, means=means)


_SHM = "/dev/shm"  # noqa: S108 -- it is only looked at
_FEW_WORKERS = 16
_LITTLE_SHM = 64 << 20


def look_at_system() -> Iterator[Finding]:
    """Yield what there is of descriptors, processes, processors, memory and places for files."""
    allowance = read_allowance()
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield processes(resource.getrlimit(resource.RLIMIT_NPROC)[0], allowance)
    yield processors(machine.processors(), allowance)
    yield memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), allowance)
    yield control_groups(allowance)
    yield shared_memory(Path(_SHM))
    yield memory_files()
    yield process_table(Path("/proc"))
    yield temporary_files()


def open_files(hard: int) -> Finding:
    """Return how many workers the hard limit of descriptors allows in one run."""
    if hard == resource.RLIM_INFINITY:
        return Finding(name="open files", verdict=Verdict.OK, found="no limit")
    most = max(0, (hard - RESERVE) // PER_WORKER)
    found = f"{hard:,}, enough for {most:,} workers in a run"
    if most >= _FEW_WORKERS:
        return Finding(name="open files", verdict=Verdict.OK, found=found)
    return Finding(
        name="open files",
        verdict=Verdict.LIMITED if most else Verdict.BROKEN,
        found=found,
        means="a run with more is refused; raise the hard limit: ulimit -Hn 65536 as root",
    )


def processes(soft: int, allowance: Allowance) -> Finding:
    """Return how many processes the user, or the control group, may have."""
    limits = [soft] if soft != resource.RLIM_INFINITY else []
    limits += [allowance.processes] if allowance.processes is not None else []
    if not limits:
        return Finding(name="processes", verdict=Verdict.OK, found="no limit")
    few = min(limits) < _FEW_WORKERS * 4
    return Finding(
        name="processes",
        verdict=Verdict.LIMITED if few else Verdict.OK,
        found=f"at most {min(limits):,}",
        means="workers beyond it cannot start" if few else "",
    )


def processors(usable: int, allowance: Allowance) -> Finding:
    """Return how many processors may be used, and how much of them."""
    quota = allowance.cpus
    found = f"{usable}"
    if quota is not None:
        found += f", of which a quota allows {quota:g}"
    found += f"; `workers: auto` is {machine.within_quota(usable, quota)}"
    alone = usable < 2 or (quota is not None and quota < 2)
    return Finding(
        name="processors",
        verdict=Verdict.SLOWER if alone else Verdict.OK,
        found=found,
        means="the orchestrator and all workers take turns on one" if alone else "",
    )


def memory(physical_bytes: int, allowance: Allowance) -> Finding:
    """Return how much memory there is for all processes of a run together."""
    limit = allowance.memory_bytes
    found = decimal(physical_bytes)
    if limit is not None and limit < physical_bytes:
        found += f", of which the control group allows {decimal(limit)}"
    return Finding(name="memory", verdict=Verdict.OK, found=found)


def control_groups(allowance: Allowance) -> Finding:
    """Return which control groups there are; mporch only reads what they allow."""
    found = f"version {allowance.version}" if allowance.version else "none to be seen"
    means = "limits of memory and processors are those of each process: see `limits` in a spec"
    return Finding(name="control groups", verdict=Verdict.OK, found=found, means=means)


def shared_memory(place: Path) -> Finding:
    """Return what there is of /dev/shm, which targets need, mporch does not."""
    theirs = "multiprocessing's locks and SharedMemory, if a function of yours uses them, fail"
    if not os.access(place, os.W_OK):
        found = "cannot be written" if place.exists() else "is not there"
        return Finding(name=_SHM, verdict=Verdict.LIMITED, found=found, means=theirs)
    free = shutil.disk_usage(place).free
    little = free < _LITTLE_SHM
    return Finding(
        name=_SHM,
        verdict=Verdict.LIMITED if little else Verdict.OK,
        found=f"{decimal(free)} free",
        means=f"when it is full, {theirs}; mporch itself uses none of it" if little else "",
    )


def memory_files() -> Finding:
    """Return whether memory can be shared through files without a name: a page for each worker."""
    try:
        os.close(os.memfd_create("mporch-doctor"))
    except (OSError, AttributeError):
        why = "each worker shares a page of it with mporch, so that it can be blamed"
        return Finding(name="memfd", verdict=Verdict.BROKEN, found="refused", means=why)
    return Finding(name="memfd", verdict=Verdict.OK, found="works")


def process_table(proc: Path) -> Finding:
    """Return whether the descendants of a run can be found."""
    if (proc / "self" / "stat").is_file():
        return Finding(name="/proc", verdict=Verdict.OK, found="mounted")
    means = "what workers leave behind is not found, and outlives a run"
    return Finding(name="/proc", verdict=Verdict.LIMITED, found="not mounted", means=means)


def temporary_files() -> Finding:
    """Return where a run puts its sockets."""
    try:
        return Finding(name="temporary files", verdict=Verdict.OK, found=tempfile.gettempdir())
    except FileNotFoundError:
        means = "no run can put its sockets anywhere: let TMPDIR name a directory of yours"
        found = "no directory can be written"
        return Finding(name="temporary files", verdict=Verdict.BROKEN, found=found, means=means)
