"""The bottleneck of a run: the job that its neighbours waited for."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.reporting.summary import JobSummary
from orchestrator.plan.model import Plan

__all__ = ["bottleneck"]

_LEAST_S = 0.2
_LEAST_SHARE = 0.1


def bottleneck(plan: Plan, jobs: Mapping[str, JobSummary], duration_s: float) -> str | None:
    """Return the job that waited least of those whose neighbours waited for them, if any did.

    Writers of a queue wait for its readers to make room, readers for its writers to put items.
    What a reader waits when all its writers have ended is a wait for itself. The wait counts if it
    is longer than the job's own by a tenth of `duration_s` and by 0.2 s; waits are seconds a
    worker.
    """
    waited = {
        name: _a_worker(job, job.waiting_input_s - job.waiting_end_s) for name, job in jobs.items()
    }
    blocked = {name: _a_worker(job, job.waiting_output_s) for name, job in jobs.items()}
    longest = dict.fromkeys(jobs, 0.0)
    for queue in plan.queues.values():
        for writer in queue.writers:
            for reader in queue.readers:
                longest[writer] = max(longest[writer], waited[reader])
                longest[reader] = max(longest[reader], blocked[writer])
    least = max(_LEAST_S, _LEAST_SHARE * duration_s)
    own = {name: waited[name] + blocked[name] for name in jobs}
    found = [name for name in jobs if longest[name] - own[name] >= least]
    return min(found, key=own.__getitem__, default=None)


def _a_worker(job: JobSummary, seconds: float) -> float:
    return seconds / max(1, job.workers)
