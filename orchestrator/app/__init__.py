"""The composition root: `execution` puts the floors together for one run, `api` is for Python."""

from orchestrator.app.execution import On, Options, execute

__all__ = ["On", "Options", "execute"]
