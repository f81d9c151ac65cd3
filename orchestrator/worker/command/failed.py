"""The exception of a command that has not succeeded.

Called in the child.
"""

from __future__ import annotations

import signal
from subprocess import CalledProcessError

from orchestrator.errors import Fault, MporchError

__all__ = ["CommandError"]

_LONGEST = 60


class CommandError(MporchError, CalledProcessError):
    """A command has ended with a status that is none of its `exit_codes`, or could not be started.

    `returncode` is the status, negative for the signal that has killed it; as for a shell, 127 says
    that there is no such program and 126 that it cannot be executed. `stderr` is the end of what it
    wrote there.
    """

    fault = Fault.TARGET

    def __init__(self, cmd: str, returncode: int, stderr: str = "", *, hint: str = "") -> None:
        CalledProcessError.__init__(self, returncode, cmd, None, stderr)
        self.hint = hint

    def __str__(self) -> str:
        name = self.cmd if len(self.cmd) <= _LONGEST else f"{self.cmd[: _LONGEST - 2]} …"
        said = self.stderr.strip()
        return f"{name}: {_how(self.returncode)}{': ' if said else ''}{said}"

    def __reduce__(self) -> tuple[type[CommandError], tuple[str, int, str]]:
        return type(self), (self.cmd, self.returncode, self.stderr)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
