"""Starts, skips and ends of jobs: the `after` conditions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from orchestrator.core.protocol.commands import StartWorker
from orchestrator.core.protocol.events import JobFinished, WorkerJoined
from orchestrator.core.protocol.notifications import JobEnded, JobStarted
from orchestrator.core.supervisor.model import Effects, Job, RunModel, Worker
from orchestrator.core.supervisor.policy import holds
from orchestrator.core.supervisor.timers import Timer, Timers
from orchestrator.core.supervisor.transitions import ENDED, State, Step
from orchestrator.plan.model import AfterCondition, FailurePolicy

__all__ = ["Scheduler"]

_CLEAN_UP = frozenset({AfterCondition.FAILED, AfterCondition.FINISHED})
_NOT_NEEDED = "the other jobs are done"
_STOPPING = "the run is stopping"


class Scheduler:
    """Starts and skips jobs, and tells everybody when one has ended.

    `stopping`: the run ends before its time, so no job's success is final. Neither is that of a job
    at whose queues another has failed: it has read, or could put, less than there is. Nor is that
    of a job `after` one that will run again: it has seen less than that will leave.
    """

    def __init__(self, model: RunModel, timers: Timers) -> None:
        self.stopping = False
        self._model = model
        self._timers = timers
        self._incomplete: set[str] = set()
        self._restarted: set[str] = set()

    def begin(self, effects: Effects, done: Iterable[str] = ()) -> None:
        """Start every job that waits for no other; those in `done` had succeeded before."""
        restored = [self._model.job(name) for name in done]
        for job in restored:
            job.restore()
            effects.report(JobEnded(job=job.name, state=job.state.value, reason=job.reason))
        for job in restored:
            self._settle(job, effects)
        for job in self._model.jobs_in(State.PENDING):
            if not job.plan.after:
                self._release(job, effects)
                if job.state in ENDED:
                    self._settle(job, effects)

    def ready(self, job: Job, effects: Effects) -> None:
        """All workers of the job are ready, or have ended well before they were."""
        job.advance(Step.READY)
        self._settle(job, effects)

    def ended(self, job: Job, effects: Effects) -> None:
        """No worker of the job lives any more."""
        job.end()
        self._announce(job, effects)
        self._settle(job, effects)

    def forgo(self, effects: Effects, *, clean_up: bool) -> None:
        """Skip what has not started; with `clean_up` all but the clean-up jobs.

        A clean-up job is one whose conditions, as far as they are open, ask for another job's
        failure or mere end. One that gives what only skipped jobs were to read is skipped, too.
        """
        forgone = [
            job
            for job in self._model.jobs_in(State.PENDING)
            if not (clean_up and {condition for _, condition in job.outstanding} <= _CLEAN_UP)
        ]
        for job in forgone:
            self._skip(job, _STOPPING, effects, clean=False)
        forgone += self._skip_feeders(self._model.jobs_in(State.SKIPPED), effects)
        for job in forgone:
            self._settle(job, effects)

    def _skip_feeders(self, skipped: Iterable[Job], effects: Effects) -> list[Job]:
        """Skip what has not started and gives nothing but what these jobs were to read.

        All that it gave would be left. Returns those jobs, and so on up the pipeline.
        """
        more: list[Job] = []
        news = deque(skipped)
        while news:
            for job in self._model.feeders(news.popleft()):
                missed = self._model.missed_by(job) if job.state is State.PENDING else []
                if missed:
                    were = f"{' and '.join(missed)} {'was' if len(missed) == 1 else 'were'} skipped"
                    why = f"{_STOPPING}, and nobody will read what it gives: {were}"
                    self._skip(job, why, effects, clean=False)
                    more.append(job)
                    news.append(job)
        return more

    def dismiss(self, job: Job, effects: Effects) -> None:
        """Skip a daemon job that nobody needs any more."""
        self._skip(job, _NOT_NEEDED, effects, clean=True)
        self._settle(job, effects)

    def waits(self) -> tuple[tuple[str, str], ...]:
        """Return each job that has not started with what it still waits for, in words."""
        return tuple(
            (job.name, " and ".join(f"{parent}: {condition.value}" for parent, condition in open_))
            for job in self._model.jobs_in(State.PENDING)
            if (open_ := sorted(job.outstanding, key=str))
        )

    def _settle(self, job: Job, effects: Effects) -> None:
        """Tell all that wait for the job what has become of it, and so on down the chain."""
        news = deque([job])
        while news:
            parent = news.popleft()
            for waiting, condition in self._model.dependents[parent.name]:
                edge = (parent.name, condition)
                if waiting.state is not State.PENDING or edge not in waiting.outstanding:
                    continue
                if parent.state in ENDED and not holds(condition, parent.state):
                    why = f"waits for {parent.name}: {condition.value}, but it {_became(parent)}"
                    self._skip(waiting, why, effects, clean=parent.clean)
                    if self.stopping:
                        news += self._skip_feeders([waiting], effects)
                elif parent.state in ENDED or condition is AfterCondition.READY:
                    waiting.outstanding.discard(edge)
                    if not waiting.outstanding:
                        self._release(waiting, effects)
                if waiting.state in ENDED:
                    news.append(waiting)

    def _release(self, job: Job, effects: Effects) -> None:
        """Start the job, unless it is a daemon that nobody needs any more."""
        if job.plan.daemon and self._model.others_done() and not self._has_work(job):
            self._skip(job, _NOT_NEEDED, effects, clean=True)
            return
        job.advance(Step.START)
        effects.report(
            JobStarted(job=job.name, workers=len(job.workers), target=str(job.plan.target))
        )
        for worker in job.workers:
            worker.advance(Step.START)
            self.start(worker, effects)

    def _has_work(self, daemon: Job) -> bool:
        """True if it reads, or a daemon that is yet to start, and reads, waits for it."""
        seen, ahead = {daemon.name}, [daemon]
        while ahead:
            job = ahead.pop()
            if job.plan.reads:
                return True
            for waiting, _ in self._model.dependents[job.name]:
                if waiting.state is State.PENDING and waiting.name not in seen:
                    seen.add(waiting.name)
                    ahead.append(waiting)
        return False

    def start(self, worker: Worker, effects: Effects) -> None:
        """Have a process made for the worker."""
        job = worker.job
        worker.since_s = effects.now
        if job.plan.timeouts.start_s is not None:
            due = effects.now + job.plan.timeouts.start_s
            self._timers.set(worker.name, Timer.START, due)
        effects.order(
            WorkerJoined(worker=worker.name, job=job.name),
            StartWorker(worker=worker.name, job=job.name, index=worker.index),
        )

    def _skip(self, job: Job, reason: str, effects: Effects, *, clean: bool) -> None:
        """End the job before it has started. `clean`: no failure is the cause."""
        job.advance(Step.SKIP)
        for worker in job.workers:
            worker.advance(Step.SKIP)
        job.reason, job.clean = reason, clean
        self._announce(job, effects)

    def _announce(self, job: Job, effects: Effects) -> None:
        effects.report(JobEnded(job=job.name, state=job.state.value, reason=job.reason))
        queues = {*job.plan.reads, *job.plan.writes}
        lasts = self._lasts(job, queues)
        final = lasts and job.state is State.SUCCEEDED
        if not lasts:
            self._restarted.add(job.name)
        if not final:
            self._incomplete |= queues
        goes_on = job.cut or (job.failing and job.plan.on_failure is not FailurePolicy.STOP)
        effects.order(
            JobFinished(
                job=job.name,
                clean=job.clean,
                final=final,
                awaited=not job.clean and self.stopping and not goes_on,
            )
        )

    def _lasts(self, job: Job, queues: set[str]) -> bool:
        """True if a resumed run would find nothing else to be done for the job, or not done."""
        waited = {name for name, state in job.plan.after if state is not AfterCondition.READY}
        return (
            job.state in (State.SUCCEEDED, State.SKIPPED)
            and not self.stopping
            and self._incomplete.isdisjoint(queues)
            and self._restarted.isdisjoint(waited)
        )


def _became(job: Job) -> str:
    """Say in words how a job has ended."""
    return {
        State.SUCCEEDED: "succeeded",
        State.FAILED: "failed",
        State.TIMED_OUT: "timed out",
        State.SKIPPED: "was skipped",
    }.get(job.state, f"was {job.state.value}")
