"""An agent's program as a subprocess of this one: guard and agent, tied to it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.engine.agents.control import AgentLaunch
from orchestrator.errors import ExitCode
from orchestrator.kernel import limits

__all__ = ["AgentProcess", "Begin", "Host"]


class Host(Protocol):
    """What is known of an agent's process by whoever has started it; what it says comes elsewhere.

    `pid` is that of a child of this process, which nobody else may reap.
    """

    pid: int

    def fileno(self) -> int:
        """Return a descriptor that is readable when it has ended."""

    def end(self) -> None:
        """Ask for its end, with all that it has made; do not wait."""

    def kill(self) -> None:
        """See to its end, at the cost of what only it could clean up."""

    def reap(self) -> str:
        """Return how it has ended, in words; it must have."""


Begin = Callable[[AgentLaunch], Host]
"""Starts `python -m orchestrator.engine.node` somewhere, with that on its standard input. Raises
OSError if the system refuses."""


class AgentProcess:
    """Begins one; raises OSError if the system refuses. Called in the main thread."""

    def __init__(self, launch: AgentLaunch) -> None:
        # In a group of its own: what a terminal says reaches the orchestrator alone.
        self._popen = subprocess.Popen(_command(), stdin=subprocess.PIPE, process_group=0)
        self.pid = self._popen.pid
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:  # it has read nothing yet, and nobody would know of its end
            self._popen.kill()
            self._popen.communicate()
            raise
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._popen.stdin as pipe:
            pipe.write(launch.encode())  # if it has died, that comes by its descriptor

    def fileno(self) -> int:
        """Return a descriptor that is readable when it has ended."""
        return self._pidfd

    def end(self) -> None:
        """Ask its guard to end it, with all that it has made; it wakes one that is stopped."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill its guard: the agent then ends by itself, unless it is stopped."""
        self._signal(signal.SIGKILL)

    def reap(self) -> str:
        """Return how it has ended, in words; it must have."""
        code = self._popen.wait()
        os.close(self._pidfd)
        if code < 0:
            return f"was ended by signal {-code}"
        if code == ExitCode.REFUSED:
            return f"could not be: {limits.in_words(errno.EAGAIN)}"
        return f"ended with exit code {code}"

    def _signal(self, signum: int) -> None:
        if self._popen.returncode is None:
            signal.pidfd_send_signal(self._pidfd, signum)


def _command() -> list[str]:
    """Return what starts it, with this interpreter's options (-O, -W, -X), as workers have them."""
    module: Any = subprocess
    flags: list[str] = module._args_from_interpreter_flags()
    return [sys.executable, "-P", *flags, "-m", "orchestrator.engine.node"]
