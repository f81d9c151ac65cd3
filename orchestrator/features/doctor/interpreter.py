"""Looks at the interpreter: its version and build, its start methods, the libraries it finds."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess

from orchestrator.features.doctor.finding import Finding, Verdict
from orchestrator.free_threading import is_free_threaded
from orchestrator.plan.model import StartMethod

__all__ = ["EXTRAS", "look_at_interpreter", "start_method"]

EXTRAS: Mapping[str, tuple[str, str]] = {
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
    import yaml  # noqa: PLC0415 -- only where it is looked at

    if hasattr(yaml, "CSafeLoader"):
        return Finding(name="yaml", verdict=Verdict.OK, found=f"PyYAML {yaml.__version__} with C")
    means = "large specs take about ten times as long to read"
    found = f"PyYAML {yaml.__version__} without its C library"
    return Finding(name="yaml", verdict=Verdict.SLOWER, found=found, means=means)
