"""Names under `run.` and `worker.`: their values are known only when a worker starts."""

from __future__ import annotations

import enum

__all__ = ["LATE_NAMESPACES", "StartVar"]


class StartVar(enum.Enum):
    """Something that `${…}` can name and that has no value before the run has begun."""

    RUN_ID = "run.id"
    RUN_DIR = "run.dir"
    RUN_NAME = "run.name"
    WORKER_NAME = "worker.name"
    WORKER_JOB = "worker.job"
    WORKER_INDEX = "worker.index"
    """From 1; a number."""
    WORKER_COUNT = "worker.count"
    """How many workers the job has; a number."""


LATE_NAMESPACES = frozenset(each.value.partition(".")[0] for each in StartVar)
