"""Preloaded into the forkserver, as the last module: makes ready the process all workers copy.

It ends when the process that made it ends: the orchestrator's death takes the forkserver along, and
the forkserver's its workers. One that dies while it asks for a worker leaves a request that is cut
off, to the forkserver or to the child that it has made; nobody is to be told of that. What it has
imported so far is kept from the garbage collector, which would otherwise touch, and so copy, each
page of it in each worker.
"""

import gc
import multiprocessing.popen_forkserver  # noqa: F401 -- each worker needs it, and would read it anew
import os
import signal
import sys
from types import TracebackType

from orchestrator.kernel.calls import set_parent_death_signal
from orchestrator.kernel.limits import REFUSALS


def _excepthook(
    kind: type[BaseException], error: BaseException, frames: TracebackType | None
) -> None:
    if isinstance(error, OSError) and error.errno in REFUSALS:
        os._exit(error.errno)  # it could make no process: who asked for one learns why (`Creator`)
    if not issubclass(kind, EOFError):
        sys.__excepthook__(kind, error, frames)


set_parent_death_signal(signal.SIGKILL)
# Whoever stops all processes of a run by SIGTERM means the workers, who shall clean up: this one's
# death would kill them at once. A worker has the mask until its handlers are set, so none is lost.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
sys.excepthook = _excepthook
gc.freeze()
