"""Programs in the place of targets: started, fed, read and waited for by a worker.

Called in the child. Imported by workers of such jobs only.
"""

from orchestrator.worker.command.call import CommandCall
from orchestrator.worker.command.process import CommandError

__all__ = ["CommandCall", "CommandError"]
