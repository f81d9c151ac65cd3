"""mporch with less patience for agents that say nothing: `python os_impatient.py run …`."""

import sys

from orchestrator.__main__ import main
from orchestrator.engine.agents.engine import AgentsEngine

PATIENCE_S = 2.0

if __name__ == "__main__":
    AgentsEngine.__init__.__kwdefaults__["patience_s"] = PATIENCE_S
    sys.exit(main())
