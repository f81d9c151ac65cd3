"""A stage whose workers are replaced, and what is asked of its runs: for the tests of restarts."""

from __future__ import annotations

from fake_run import job

from orchestrator.core.protocol.commands import StartWorker
from orchestrator.core.protocol.events import Blame, Orphaned, Phase, WorkerDied, WorkerLeft
from orchestrator.plan.model import RestartPlan, RetryPlan, Shape

IN_ITEM = Blame(lease=1, index=0, phase=Phase.RUNNING)
AGAIN = RetryPlan(attempts=3)


USUAL = RestartPlan(max=5)


def stage(name="a", *, restart=USUAL, **keys):
    return job(name, shape=Shape.ITEM, inputs=("q",), restart=restart, **keys)


def starts(run, worker="a-1"):
    """When a process of the worker was ordered."""
    return [
        when
        for when, order in run.orders
        if isinstance(order, StartWorker) and order.worker == worker
    ]


def again(run, *workers):
    """The replacements that were ordered come up."""
    return run.start(*workers).ready(*workers)


def blames(run):
    return [news.blame for news in run.of(WorkerLeft)]


def orphan(worker="a-1", lost=Orphaned.FORKSERVER, failure=None):
    """It dies at an item, with what it depends on."""
    return WorkerDied(
        worker=worker,
        exit_code=-9,
        blame=IN_ITEM,
        item="q:1",
        failure=failure,
        orphaned=lost,
    )
