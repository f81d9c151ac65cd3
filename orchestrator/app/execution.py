"""Execution of a run: its guard, its orchestrator, and the forkserver that gets ready meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.app.options import On, Options, Shield, Watch
from orchestrator.engine.node.guard import Shelter, run_guarded
from orchestrator.free_threading import refuse_free_threading
from orchestrator.kernel.calls import keep_freed_memory
from orchestrator.plan.model import Plan, StartMethod

if TYPE_CHECKING:
    from orchestrator.app.run_files import Resume
    from orchestrator.engine.node.process import ProcessFactory

__all__ = ["execute"]


def execute(
    plan: Plan,
    source: str,
    options: Options,
    shield: Shield,
    *,
    watch: Watch | None = None,
    resumed: Resume | None = None,
    host: int | None = None,
) -> int:
    """Called in the guard.

    Run a plan whose spec reads `source`, or go on with the run that is to be resumed; returns the
    exit code. What goes wrong in the orchestrator is handled there by `shield`, and who wants
    to `watch` is told there. `host` is the pid of the program for which a hosted run is made
    (`run_guarded`). Raises RunDirectoryError if not even a temporary
    directory can be made.
    """

    def run(shelter: Shelter) -> int:
        refuse_free_threading()
        keep_freed_memory()
        seed = _hash_seed()
        ahead = _begin_forkserver(plan, shelter, seed) if _is_made_here(options, resumed) else None
        try:
            # While the forkserver imports what its workers need, on the other processor.
            from orchestrator.app.run import run_to_report  # noqa: PLC0415 -- not in the guard
            from orchestrator.app.run_files import begin, resume  # noqa: PLC0415

            if resumed is not None:
                files = resume(plan, source, resumed, hash_seed=seed)
            else:
                files = begin(plan, source, options.run_dir, tapped=options.tapped, hash_seed=seed)
            return run_to_report(plan, options, shelter, files, factory=ahead, watch=watch)
        finally:
            if ahead is not None:
                ahead.close()

    return run_guarded(lambda shelter: shield(lambda: run(shelter)), host=host)


def _is_made_here(options: Options, resumed: Resume | None) -> bool:
    """True if the forkserver can be begun with: a run that goes on has kept its hash seed."""
    return options.on is On.LOCAL and resumed is None


def _begin_forkserver(plan: Plan, shelter: Shelter, hash_seed: str) -> ProcessFactory:
    """Called in the orchestrator. Return what makes the workers, its forkserver on the way."""
    from orchestrator.engine.node.process import factory_of_run  # noqa: PLC0415 -- not in the guard

    workers = sum(job.workers for job in plan.jobs.values())
    factory = factory_of_run(directory=shelter.directory, hash_seed=hash_seed, workers=workers)
    if any(job.start_method is StartMethod.FORKSERVER for job in plan.jobs.values()):
        factory.start_forkserver()
    return factory


def _hash_seed() -> str:
    """The user's PYTHONHASHSEED, or one drawn for this run."""
    chosen = os.environ.get("PYTHONHASHSEED", "")
    return chosen if chosen.isdecimal() else str(int.from_bytes(os.urandom(4), "little"))
