"""Abilities of this system: start methods, signals, processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

from orchestrator.plan.cgroups import read_allowance
from orchestrator.plan.model import StartMethod

__all__ = [
    "default_start_method",
    "processors",
    "start_methods",
    "stop_signals",
    "usable_processors",
    "within_quota",
]

_NEVER_HANDLED = ("SIGKILL", "SIGSTOP")


def start_methods() -> tuple[StartMethod, ...]:
    """Return the start methods this system has, the default first."""
    available = multiprocessing.get_all_start_methods()
    return tuple(method for method in StartMethod if method.value in available)


def default_start_method() -> StartMethod:
    """Return forkserver where the system has it, else spawn."""
    return start_methods()[0]


def stop_signals() -> dict[str, int]:
    """Return name and number of the signals a worker can be asked to stop with."""
    return {s.name: s.value for s in signal.Signals if s.name not in _NEVER_HANDLED}


def processors() -> int:
    """Return on how many processors this process may run.

    From Python 3.13 on `PYTHON_CPU_COUNT` counts.
    """
    told: Callable[[], int | None] = getattr(os, "process_cpu_count", lambda: None)
    return told() or len(os.sched_getaffinity(0))


def usable_processors() -> int:
    """Return how many processors the workers of a run can keep busy: what `workers: auto` is."""
    return within_quota(processors(), read_allowance().cpus)


def within_quota(usable: int, quota: float | None) -> int:
    """Return how many of the processors a quota allows to be busy: whole ones, and at least one."""
    return usable if quota is None else max(1, min(usable, int(quota)))
