"""What this system offers: start methods and signals."""

from __future__ import annotations

import multiprocessing
import signal

from orchestrator.plan.model import StartMethod

__all__ = ["default_start_method", "start_methods", "stop_signals"]

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
