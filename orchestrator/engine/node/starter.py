"""Starts a plan's workers: what each is told, what surroundings they share. In the parent."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.broker.bounds import patience_s
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import chunk_items
from orchestrator.engine.node import descriptors
from orchestrator.engine.node.item_watchdog import ItemWatchdog
from orchestrator.engine.node.process import ProcessFactory, Starting
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.order import Emitted, Order, QueueInfo
from orchestrator.plan.model import Command, JobPlan, Plan, QueuePlan
from orchestrator.plan.start_vars import at_start, settled

__all__ = ["Starter"]

_MAIN = "orchestrator.worker.main"
_KEEP_BYTES = str(256 << 20)
_SURROUNDINGS = {
    # Large pickles must not be mapped and unmapped one by one: that is most of their cost.
    "MALLOC_MMAP_THRESHOLD_": _KEEP_BYTES,
    "MALLOC_TRIM_THRESHOLD_": _KEEP_BYTES,
}


class Starter:
    """Makes workers of one run. Raises UsageError when that takes more descriptors than allowed.

    `hash_seed` is the PYTHONHASHSEED of all of them, so that sets come in the same order again.
    `draws`: what their log handlers make for the console is shown.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        run_id: str,
        run_dir: str,
        socket_dir: str,
        hash_seed: str,
        draws: bool = True,
    ) -> None:
        self.overdue = ItemWatchdog()
        self._plan = plan
        self._run_id = run_id
        self._run_dir = run_dir
        self._draws = draws
        before = descriptors.ensure(sum(job.workers for job in plan.jobs.values()))
        self._factory = ProcessFactory(
            preload=(_MAIN,),
            directory=socket_dir,
            environment={**_SURROUNDINGS, "PYTHONHASHSEED": hash_seed},
            descriptors=before,
        )
        self._infos = {name: _info(plan, queue) for name, queue in plan.queues.items()}

    def helper_pids(self) -> frozenset[int]:
        """Processes of multiprocessing itself."""
        return self._factory.helper_pids()

    def begin(
        self,
        job: JobPlan,
        worker: str,
        index: int,
        positions: Mapping[str, OutputProgress] | None = None,
    ) -> WorkerProcess | Starting:
        """Make a worker's process, or ask the forkserver for it: see `go_on`.

        Raises OSError when the system refuses.

        `positions`: how far it has come before with what it puts.
        """
        known = at_start(
            self._plan, job, run=self._run_id, run_dir=self._run_dir, worker=worker, index=index
        )
        job = settled(job, self._plan.project_dir, known)
        order = Order(
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
            emitted={box: _emitted(position) for box, position in (positions or {}).items()},
            draws=self._draws,
        )
        return self._factory.begin(
            name=worker,
            method=job.start_method,
            main=f"{_MAIN}:main",
            payload=order.encode(),
            env=dict(job.env),
            pythonpath=self._plan.pythonpath,
            tells_stack=job.timeouts.item_s is not None and not isinstance(job.target, Command),
        )

    def go_on(self, starting: Starting) -> WorkerProcess | None:
        """Return a worker that was asked for if it is there; raises OSError if it will never be."""
        return self._factory.go_on(starting)

    def give_up(self, starting: Starting) -> OSError:
        """Kill the forkserver that has not answered in time; returns what is to be told."""
        return self._factory.give_up(starting)

    def refusal(self, error: OSError) -> str:
        """Name the limit behind an error of `begin`; empty if it was none of processes."""
        return self._factory.refusal(error)

    def close(self) -> None:
        """End multiprocessing's helpers."""
        self._factory.close()


def _emitted(position: OutputProgress) -> Emitted:
    tail = position.tail
    return Emitted(
        n=position.n,
        digest=position.digest,
        tail=bytes(tail.blob) if tail is not None else b"",
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
        patience_s=patience_s(queue, producers),
        drops=queue.when_full.drops or not queue.readers,
    )
