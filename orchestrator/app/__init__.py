"""The composition root: `execution` puts the floors together for one run, `api` is for Python."""

from orchestrator.app.execution import execute
from orchestrator.app.options import On, Options

__all__ = ["On", "Options", "execute"]
