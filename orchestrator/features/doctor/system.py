"""Looks at what the system allows: files, processes, memory, processors, shared memory."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from orchestrator.engine.node.descriptors import PER_WORKER, RESERVE
from orchestrator.features.doctor.finding import Finding, Verdict
from orchestrator.machine import machine
from orchestrator.machine.cgroups import Allowance, read_allowance

__all__ = ["look_at_system"]

_SHM = "/dev/shm"  # noqa: S108 -- it is only looked at
_FEW_WORKERS = 16
_LITTLE_SPACE = 64 << 20


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
    little = free < _LITTLE_SPACE
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
