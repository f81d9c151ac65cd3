"""The pipelines at the door: one of honest workers only, and four that hostile ones belong to."""

from __future__ import annotations

import random
from collections import Counter

from orchestrator.plan.model import (
    BatchPlan,
    ErrorAction,
    ErrorPolicy,
    FailurePolicy,
    JobPlan,
    Plan,
    QueuePlan,
    RestartPlan,
    Shape,
    Target,
    TimeoutsPlan,
)

from .door import Door, Refuted

HOSTILE = frozenset({"work-2", "bad-2", "lot-2", "hand-2"})
"""Each has an honest brother, work-1 and so on, that reads and writes the same queues."""

_LINES = (
    ("src", "map", "snk"),
    ("feed", "work", "end"),
    (None, "bad", "eat"),
    ("sow", "lot", "reap"),
    ("give", "hand", "keep"),
)


def quarter(rng: random.Random, items: int) -> Door:
    """A new run; each source has so many items."""
    jobs: dict[str, JobPlan] = {}
    queues: dict[str, QueuePlan] = {}
    for source, stage, sink in _LINES:
        if source is not None:
            jobs[source] = _job(source, writes=f"{stage}_in")
            jobs[stage] = _stage(stage)
            queues[f"{stage}_in"] = _queue(f"{stage}_in", source, stage, rng)
        else:
            jobs[stage] = _job(stage, writes=f"{stage}_out", workers=2, restart=_OFTEN)
        jobs[sink] = _job(sink, reads=f"{stage}_out")
        queues[f"{stage}_out"] = _queue(f"{stage}_out", stage, sink, rng)
    plan = Plan(name="door", spec_path="/p/jobs.yaml", project_dir="/p", queues=queues, jobs=jobs)
    return Door(plan, HOSTILE, rng, items)


_OFTEN = RestartPlan(max=1 << 30, within_s=1e-9)


def _job(name: str, *, reads: str = "", writes: str = "", **keys: object) -> JobPlan:
    shape = keys.pop("shape", Shape.ITEM if reads else Shape.SOURCE)
    if shape is Shape.HANDLES:
        keys |= {"read_handles": (("q", reads),), "write_handles": (("w", writes),)}
    else:
        keys |= {"inputs": (reads,) if reads else (), "outputs": (writes,) if writes else ()}
    return JobPlan(
        name=name,
        target=Target(module="door", qualname=name),
        shape=shape,
        timeouts=TimeoutsPlan(start_s=None),
        on_failure=FailurePolicy.CONTINUE,
        on_error=ErrorPolicy(otherwise=ErrorAction.DEAD_LETTER),
        **keys,
    )


def _stage(name: str) -> JobPlan:
    shape = {"lot": Shape.BATCH, "hand": Shape.HANDLES}.get(name, Shape.ITEM)
    batch = BatchPlan(size=5, within_s=0.1) if shape is Shape.BATCH else None
    return _job(
        name,
        reads=f"{name}_in",
        writes=f"{name}_out",
        workers=2,
        shape=shape,
        batch=batch,
        restart=_OFTEN,
    )


def _queue(name: str, writer: str, reader: str, rng: random.Random) -> QueuePlan:
    maxsize = rng.choice((5, 8, 40, 0))
    return QueuePlan(name=name, maxsize=maxsize, writers=(writer,), readers=(reader,))


def judge(door: Door, items: int) -> None:
    """Read the books: the quiet line is exact, and so is what honest brothers have finished."""
    ledger = door.ledger
    if ledger.refused:
        raise Refuted(f"{ledger.refused} commits of honest workers were refused")
    _quiet_line_is_exact(door, Counter(range(items)))
    for source, stage, sink in _LINES:
        if source is not None:
            _brothers_are_exact(door, Counter(range(items)), stage, sink)
    for name, queue in door.run.ledgers().items():
        ends = queue.done + queue.skipped + queue.dropped + queue.dead + queue.left
        if queue.put != ends:
            raise Refuted(f"{name}: {queue}")


def _quiet_line_is_exact(door: Door, everything: Counter[int]) -> None:
    summaries = door.run.job_summaries()
    for job in _LINES[0]:
        assert job is not None
        if summaries[job].restarts:
            raise Refuted(f"a worker of {job} was killed")
        if job != "src" and door.ledger.done[job] != everything:
            raise Refuted(f"{job} has not done each item once")


def _brothers_are_exact(door: Door, everything: Counter[int], stage: str, sink: str) -> None:
    ledger, jobs = door.ledger, door.run.job_summaries()
    twice = [each for each, n in ledger.done[stage].items() if n > 1]
    if twice:
        raise Refuted(f"{stage} has done {twice} more than once")
    if jobs[stage].status != "succeeded" or jobs[sink].status != "succeeded":
        return  # its hostile worker has said that an item fails the job
    lost = everything - ledger.done[stage] - Counter(ledger.to_others.get(stage, set()))
    if lost:
        raise Refuted(f"{sorted(lost)} were given to nobody hostile by {stage} and are lost")
    if ledger.done[sink] != ledger.put[stage]:
        raise Refuted(f"{sink} has not got what {stage} has put, each once")
