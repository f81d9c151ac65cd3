"""Orders: what each worker of a plan is told at its start."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.broker.bounds import patience_s
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import chunk_items
from orchestrator.core.protocol.events import whole
from orchestrator.ipc.order import Emitted, Order, QueueInfo
from orchestrator.plan.model import Plan, QueuePlan
from orchestrator.plan.start_vars import at_start, settled

__all__ = ["Orders"]


class Orders:
    """Writes the orders of one run. `draws`: what log handlers make for the console is shown."""

    def __init__(self, plan: Plan, *, run_id: str, run_dir: str, draws: bool = True) -> None:
        self._plan = plan
        self._run_id = run_id
        self._run_dir = run_dir
        self._draws = draws
        self._infos = {name: _info(plan, queue) for name, queue in plan.queues.items()}

    def of(
        self, job_name: str, worker: str, index: int, positions: Mapping[str, OutputProgress]
    ) -> Order:
        """Return a worker's order; `positions`: how far it has come before with what it puts."""
        job = self._plan.jobs[job_name]
        known = at_start(
            self._plan, job, run=self._run_id, run_dir=self._run_dir, worker=worker, index=index
        )
        job = settled(job, self._plan.project_dir, known)
        return Order(
            run=self._run_id,
            run_dir=self._run_dir,
            project_dir=self._plan.project_dir,
            pythonpath=self._plan.pythonpath,
            job=job,
            worker=worker,
            index=index,
            queues={name: self._infos[name] for name in (*job.reads, *job.writes)},
            counted=job.is_counted(self._plan.durability),
            repeats_gets=job.repeats_gets(self._plan.durability),
            emitted={box: _emitted(position) for box, position in positions.items()},
            draws=self._draws,
        )


def _emitted(position: OutputProgress) -> Emitted:
    tail = position.tail
    return Emitted(
        n=position.n,
        digest=position.digest,
        tail=bytes(whole(tail.blob)) if tail is not None else b"",
        packed=tail is not None and tail.packed,
        used=position.used,
    )


def _info(plan: Plan, queue: QueuePlan) -> QueueInfo:
    producers = sum(plan.jobs[job].workers for job in queue.writers)
    return QueueInfo(
        maxsize=queue.maxsize,
        chunk_items=chunk_items(queue.maxsize, producers),
        max_bytes=queue.max_bytes,
        share_bytes=(queue.max_bytes or 0) // (2 * producers),
        soft_share=(queue.soft_bytes or 0) // (2 * producers),
        patience_s=patience_s(queue, producers),
        drops=queue.when_full.drops or not queue.readers,
    )
