"""mporch with two agents and a patience of its own: `python os_several_agents.py 2 run …`."""

import sys

from orchestrator.__main__ import main
from orchestrator.engine.agents.engine import AgentsEngine

if __name__ == "__main__":
    patience_s = float(sys.argv.pop(1))
    AgentsEngine.__init__.__kwdefaults__.update(agents=2, patience_s=patience_s)
    sys.exit(main())
