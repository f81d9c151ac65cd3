"""Puts into a job what is known only when one of its workers starts. Pure; in the parent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from orchestrator.plan.model import JobPlan, LateName, LateValue, Plan
from orchestrator.plan.redact import replaced
from orchestrator.spec.yaml.nodes import StartVar

__all__ = ["at_start", "settled", "without_late"]


def at_start(
    plan: Plan, job: JobPlan, *, run: str, run_dir: str, worker: str, index: int
) -> dict[StartVar, str | int]:
    """Return what is known when a worker starts; `index` counts the job's workers from 1."""
    return {
        StartVar.RUN_ID: run,
        StartVar.RUN_DIR: run_dir,
        StartVar.RUN_NAME: plan.name,
        StartVar.WORKER_NAME: worker,
        StartVar.WORKER_JOB: job.name,
        StartVar.WORKER_INDEX: index,
        StartVar.WORKER_COUNT: job.workers,
    }


def settled(job: JobPlan, project_dir: str, known: Mapping[StartVar, str | int]) -> JobPlan:
    """Return the job with all in place that was not known before: what its worker is given.

    A value that is nothing but `${worker.index}` or `${worker.count}` is a number, but in `env`.
    """
    if not job.late:
        return job
    values = {late.path: _value(late, known) for late in job.late}
    env = replaced(dict(job.env), values, ("env",))
    cwd = values.get(("cwd",))
    return msgspec.structs.replace(
        job,
        args=replaced(job.args, values, ("args",)),
        kwargs=replaced(dict(job.kwargs), values, ("kwargs",)),
        env=tuple((name, None if text is None else str(text)) for name, text in env.items()),
        cwd=job.cwd if cwd is None else str(PurePath(project_dir) / str(cwd)),
        late=(),
    )


def without_late(job: JobPlan, project_dir: str) -> JobPlan:
    """Return the job without the variables and the folder that nobody knows before a run."""
    paths = {late.path for late in job.late}
    return msgspec.structs.replace(
        job,
        env=tuple(each for each in job.env if ("env", each[0]) not in paths),
        cwd=project_dir if ("cwd",) in paths else job.cwd,
    )


def _value(late: LateValue, known: Mapping[StartVar, str | int]) -> Any:
    pieces = [known[StartVar(p.name)] if isinstance(p, LateName) else p for p in late.pieces]
    return pieces[0] if len(pieces) == 1 else "".join(map(str, pieces))
