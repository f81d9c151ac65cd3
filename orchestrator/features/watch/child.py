"""One run of `mporch run --watch`: the process that the watch starts, the guard of the run."""

from __future__ import annotations

import signal
import sys

from orchestrator.app.child_run.child import main
from orchestrator.console.exits import exit_code_of

__all__ = ["run"]


def run() -> int:
    """Called in the child of the watch: run the request on standard input."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return main(exit_code_of)


if __name__ == "__main__":
    sys.exit(exit_code_of(run))
