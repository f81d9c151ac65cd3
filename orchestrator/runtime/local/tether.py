"""Preloaded into the forkserver: who imports this module ends when the process that made it ends.

The orchestrator's death thus takes the forkserver along, and the forkserver's its workers.
"""

import signal

from orchestrator.runtime.local.kernel import set_parent_death_signal

set_parent_death_signal(signal.SIGKILL)
