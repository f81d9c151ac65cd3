"""The machine that a spec is checked and planned for: processors, memory, signals, programs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.choices import StartMethod
from orchestrator.files import is_there
from orchestrator.machine.cgroups import read_allowance
from orchestrator.machine.programs import Programs, script_flaw

__all__ = ["Machine", "processors", "this_machine", "within_quota"]

_NEVER_HANDLED = ("SIGKILL", "SIGSTOP")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a plan depends on beside its spec. Plans ask the system nothing but this.

    `this_machine` returns the one that this process runs on.
    """

    processors: int
    """On how many this process may run."""
    usable_processors: int
    """How many the workers of a run can keep busy: what `workers: auto` is."""
    memory_bytes: int | None
    """None if the system does not tell."""
    start_methods: tuple[StartMethod, ...]
    """Ways to start a process that the system has, the default first: there is one at least."""
    stop_signals: Mapping[str, int]
    """Names and numbers of the signals that a worker can be asked to stop with."""
    path: str | None
    """Folders of programs, as in the variable PATH."""

    @property
    def start_method(self) -> StartMethod:
        """The default: forkserver where the system has it, else spawn."""
        return self.start_methods[0]

    def programs(self, search: str | None, folder: Path) -> Programs:
        """Return the programs that a job finds by its PATH, `search`, or below its `folder`."""
        return Programs(search, folder)

    def script_flaw(self, shell: str, script: str) -> str | None:
        """Return what a shell says of a script that it cannot read; None if it can."""
        return script_flaw(shell, script)

    def has(self, path: Path) -> bool:
        """True if a file or folder is there."""
        return is_there(path)


def this_machine() -> Machine:
    """Return what this process sees of the machine it runs on."""
    usable = processors()
    available = multiprocessing.get_all_start_methods()
    return Machine(
        processors=usable,
        usable_processors=within_quota(usable, read_allowance().cpus),
        memory_bytes=_memory_bytes(),
        start_methods=tuple(each for each in StartMethod if each.value in available),
        stop_signals={s.name: s.value for s in signal.Signals if s.name not in _NEVER_HANDLED},
        path=os.environ.get("PATH"),
    )


def processors() -> int:
    """Return on how many processors this process may run.

    From Python 3.13 on `PYTHON_CPU_COUNT` counts.
    """
    told: Callable[[], int | None] = getattr(os, "process_cpu_count", lambda: None)
    return told() or len(os.sched_getaffinity(0))


def within_quota(usable: int, quota: float | None) -> int:
    """Return how many of the processors a quota allows to be busy: whole ones, and at least one."""
    return usable if quota is None else max(1, min(usable, int(quota)))


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
