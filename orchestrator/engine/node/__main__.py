"""Guard and agent as a program: `python -m orchestrator.engine.node`, told by standard input."""

from __future__ import annotations

import sys

from orchestrator.engine.agents.program import main

if __name__ == "__main__":
    sys.exit(main())
