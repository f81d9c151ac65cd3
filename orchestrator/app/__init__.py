"""The composition root: `execution` puts the floors together for one run, `api` is for Python."""

from orchestrator.app.run import On, Options, execute
from orchestrator.app.run_files import Resume

__all__ = ["On", "Options", "Resume", "execute"]
