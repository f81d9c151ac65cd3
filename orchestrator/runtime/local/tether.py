"""Preloaded into the forkserver, as the last module: makes ready the process all workers copy.

It ends when the process that made it ends: the orchestrator's death takes the forkserver along, and
the forkserver's its workers. What it has imported so far is kept from the garbage collector, which
would otherwise touch, and so copy, each page of it in each worker.
"""

import gc
import multiprocessing.popen_forkserver  # noqa: F401 -- each worker needs it, and would read it anew
import signal

from orchestrator.runtime.local.kernel import set_parent_death_signal

set_parent_death_signal(signal.SIGKILL)
gc.freeze()
