"""Stopping a whole run: drain, stop, terminate, kill; never back."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.commands import StopReason
from orchestrator.core.deadlines import Deadlines, Timer
from orchestrator.core.events import SourcesClosed
from orchestrator.core.facts import StopRequested
from orchestrator.core.lifecycle import ACTIVE, State, Step
from orchestrator.core.policy import STOPPING_JOIN_S, Level
from orchestrator.core.roster import Job, Roster, Worker
from orchestrator.core.schedule import Scheduler
from orchestrator.core.stopping import Stopper
from orchestrator.core.turn import Turn
from orchestrator.plan.model import Shape

__all__ = ["Halt"]


class Halt:
    """Knows how far the run has been stopped, and takes it further."""

    def __init__(
        self, roster: Roster, deadlines: Deadlines, scheduler: Scheduler, stopper: Stopper
    ) -> None:
        self.level = Level.RUN
        self._roster = roster
        self._deadlines = deadlines
        self._scheduler = scheduler
        self._stopper = stopper

    def raise_to(self, level: Level, reason: StopReason, why: str, turn: Turn) -> None:
        """Stop the run at least as far as `level`; what was already done is not done again."""
        if level <= self.level:
            return
        self.level = level
        self._scheduler.stopping = True
        if self._roster.live_workers() or self._roster.jobs_in(State.PENDING):
            turn.report(StopRequested(how=level.how, reason=why))
        if level is Level.DRAIN:
            self._drain(reason, turn)
        elif level is Level.KILL:
            for worker in self._roster.live_workers():
                self._stopper.kill(worker, reason, turn)
        else:
            self.stop_all(reason, turn)
        self._scheduler.forgo(turn, clean_up=level < Level.TERMINATE)

    def stop_all(self, reason: StopReason, turn: Turn) -> None:
        """Ask every worker that lives to stop."""
        for worker in self._roster.live_workers():
            self._stopper.stop(worker, reason, turn)

    def dismiss_daemons(self, turn: Turn) -> None:
        """All other jobs are done. A daemon that reads comes to the end of its input by itself.

        What it reads is written by jobs that are done, and by daemons: those that read nothing are
        stopped, and so on down the pipeline. One that is yet to start, and reads, is started.
        """
        daemons = [job for job in self._roster.jobs_in(State.PENDING, *ACTIVE) if job.plan.daemon]
        for job in daemons:
            job.dismissed = True
            if job.plan.reads:
                self._limit_end(job, turn)
            elif job.state is State.PENDING:
                self._scheduler.dismiss(job, turn)
        heads = [job for job in daemons if not job.plan.reads and job.state in ACTIVE]
        if heads:
            self._stop_heads(heads, StopReason.NOT_NEEDED, turn)

    def _limit_end(self, job: Job, turn: Turn) -> None:
        """Give a daemon time to finish what it reads; where that has ended, from then on."""
        if job.input_ended_at is not None and job.plan.join_s is not None:
            return  # it is limited already
        for worker in job.live_workers():
            self.limit_join(worker, turn, since=job.input_ended_at)

    def limit_join(self, worker: Worker, turn: Turn, *, since: float | None = None) -> None:
        """Give the worker its time to return, from now or from `since` on.

        Its input has ended, or it is a daemon that is to come to the end of it.
        """
        if worker.stopping or worker.closing or worker.gone or not worker.ready:
            return
        if worker.job.input_ended:
            worker.advance(Step.DRAIN)
        join_s = self.join_s(worker.job)
        if join_s is not None:
            begin = turn.now if since is None else since
            self._deadlines.set(worker.name, Timer.JOIN, begin + join_s)
            if self.level is not Level.RUN:
                turn.await_end(worker, "join", join_s)

    def join_s(self, job: Job) -> float | None:
        """Return how long the job's workers have to return after the end of their input.

        A daemon that reads has as long after the end of all other jobs.
        """
        if job.plan.join_s is None and (job.dismissed or self.level is not Level.RUN):
            return STOPPING_JOIN_S
        return job.plan.join_s

    def _drain(self, reason: StopReason, turn: Turn) -> None:
        """End the sources; stages go on to the end of their input, daemons until all is done."""
        active = self._roster.jobs_in(*ACTIVE)
        self._stop_heads([job for job in active if _is_head(job)], reason, turn)
        for job in active:
            if job.input_ended and job.plan.join_s is None:
                for worker in job.live_workers():
                    self.limit_join(worker, turn)

    def _stop_heads(self, heads: Iterable[Job], reason: StopReason, turn: Turn) -> None:
        """End jobs that read nothing: sources are told to put no more, all get their signal."""
        workers = [worker for job in heads for worker in job.live_workers()]
        sources = [worker for worker in workers if worker.job.plan.shape is Shape.SOURCE]
        turn.order(SourcesClosed(workers=tuple(worker.name for worker in sources)))
        for worker in workers:
            self._stopper.stop(worker, reason, turn)


def _is_head(job: Job) -> bool:
    """Whether a drain stops the job: nothing it reads will end it.

    A daemon that writes to no queue holds nobody up and is ended with the last of the others.
    """
    return not job.plan.reads and bool(job.plan.writes or not job.plan.daemon)
