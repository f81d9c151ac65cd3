"""Shutdown of a run and of one worker: drain, stop, terminate, kill; never back.

Nothing here goes back a step or starts a grace anew, however often and for whatever reason a
worker is asked to stop.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.protocol.commands import (
    AT_WORK,
    Disconnect,
    KillWorker,
    SignalWorker,
    StopReason,
)
from orchestrator.core.protocol.events import SourcesClosed
from orchestrator.core.protocol.notifications import RunStopping, SignalSent, Warned
from orchestrator.core.reasons import signal_name
from orchestrator.core.supervisor.model import Effects, Job, RunModel, Worker
from orchestrator.core.supervisor.policy import STOPPING_JOIN_S, StopLevel, exit_limit_s
from orchestrator.core.supervisor.scheduler import Scheduler
from orchestrator.core.supervisor.timers import Timer, Timers
from orchestrator.core.supervisor.transitions import ACTIVE, State, Step
from orchestrator.plan.model import Shape

__all__ = ["Shutdown", "Stopper"]


class Shutdown:
    """Knows how far the run has been stopped, and takes it further."""

    def __init__(
        self, model: RunModel, timers: Timers, scheduler: Scheduler, stopper: Stopper
    ) -> None:
        self.level = StopLevel.RUN
        self._model = model
        self._timers = timers
        self._scheduler = scheduler
        self._stopper = stopper

    def raise_to(self, level: StopLevel, reason: StopReason, why: str, effects: Effects) -> None:
        """Stop the run at least as far as `level`; what was already done is not done again."""
        if level <= self.level:
            return
        self.level = level
        self._scheduler.stopping = True
        if self._model.live_workers() or self._model.jobs_in(State.PENDING):
            effects.report(RunStopping(how=level.how, reason=why))
        if level is StopLevel.DRAIN:
            self._drain(reason, effects)
        elif level is StopLevel.KILL:
            for worker in self._model.live_workers():
                self._stopper.kill(worker, reason, effects)
        else:
            self.stop_all(reason, effects)
        self._scheduler.forgo(effects, clean_up=level < StopLevel.TERMINATE)

    def stop_all(self, reason: StopReason, effects: Effects) -> None:
        """Ask every worker that lives to stop."""
        for worker in self._model.live_workers():
            self._stopper.stop(worker, reason, effects)

    def dismiss_daemons(self, effects: Effects) -> None:
        """All other jobs are done. A daemon that reads comes to the end of its input by itself.

        What it reads is written by jobs that are done, and by daemons: those that read nothing are
        stopped, and so on down the pipeline. One that is yet to start, and reads, is started.
        """
        daemons = [job for job in self._model.jobs_in(State.PENDING, *ACTIVE) if job.plan.daemon]
        for job in daemons:
            job.dismissed = True
            if job.plan.reads:
                self._limit_end(job, effects)
            elif job.state is State.PENDING:
                self._scheduler.dismiss(job, effects)
        heads = [job for job in daemons if not job.plan.reads and job.state in ACTIVE]
        if heads:
            self._stop_heads(heads, StopReason.NOT_NEEDED, effects)

    def _limit_end(self, job: Job, effects: Effects) -> None:
        """Give a daemon time to finish what it reads; where that has ended, from then on."""
        if job.input_ended_at is not None and job.plan.join_s is not None:
            return  # it is limited already
        for worker in job.live_workers():
            self.limit_join(worker, effects, since=job.input_ended_at)

    def limit_join(self, worker: Worker, effects: Effects, *, since: float | None = None) -> None:
        """Give the worker its time to return, from now or from `since` on.

        Its input has ended, or it is a daemon that is to come to the end of it.
        """
        if worker.stopping or worker.closing or worker.gone or not worker.ready:
            return
        if worker.job.input_ended:
            worker.advance(Step.DRAIN)
        join_s = self.join_s(worker.job)
        if join_s is not None:
            begin = effects.now if since is None else since
            self._timers.set(worker.name, Timer.JOIN, begin + join_s)
            if self.level is not StopLevel.RUN:
                effects.await_end(worker, "join", join_s)

    def join_s(self, job: Job) -> float | None:
        """Return how long the job's workers have to return after the end of their input.

        A daemon that reads has as long after the end of all other jobs.
        """
        if job.plan.join_s is None and (job.dismissed or self.level is not StopLevel.RUN):
            return STOPPING_JOIN_S
        return job.plan.join_s

    def _drain(self, reason: StopReason, effects: Effects) -> None:
        """End the sources; stages go on to the end of their input, daemons until all is done."""
        active = self._model.jobs_in(*ACTIVE)
        self._stop_heads([job for job in active if _is_head(job)], reason, effects)
        for job in active:
            if job.input_ended and job.plan.join_s is None:
                for worker in job.live_workers():
                    self.limit_join(worker, effects)

    def _stop_heads(self, heads: Iterable[Job], reason: StopReason, effects: Effects) -> None:
        """End jobs that read nothing: sources are told to put no more, all get their signal."""
        workers = [worker for job in heads for worker in job.live_workers()]
        sources = [worker for worker in workers if worker.job.plan.shape is Shape.SOURCE]
        effects.order(SourcesClosed(workers=tuple(worker.name for worker in sources)))
        for worker in workers:
            self._stopper.stop(worker, reason, effects)


def _is_head(job: Job) -> bool:
    """True if a drain stops the job: nothing it reads will end it.

    A daemon that writes to no queue holds nobody up and is ended with the last of the others.
    """
    return not job.plan.reads and bool(job.plan.writes or not job.plan.daemon)


_SIGKILL = 9

_PATIENT = frozenset({StopReason.FAILURE, StopReason.STALLED, StopReason.NOT_NEEDED})
"""Reasons that leave a process alone that has sent its last message: it has its own limit."""


class Stopper:
    """Stops workers, one step at a time, each from its own limits."""

    def __init__(self, timers: Timers, *, give_up_s: float) -> None:
        self._timers = timers
        self._give_up_s = give_up_s

    def stop(self, worker: Worker, reason: StopReason, effects: Effects) -> None:
        """Send the stop signal, unless the worker has had it; SIGKILL follows after its grace."""
        if worker.gone:
            self._wake(worker, reason, effects)
            return
        if not worker.live or worker.stop or worker.killed:
            return
        if worker.closing and (worker.hurried or reason in _PATIENT):
            worker.unwanted = worker.unwanted or reason
            return
        worker.advance(Step.DRAIN)
        worker.stop = reason
        self._order(worker, effects)

    def kill(self, worker: Worker, reason: StopReason, effects: Effects) -> None:
        """Send SIGKILL to its process group, unless that was done."""
        if worker.gone:
            self._wake(worker, reason, effects)
            return
        if not worker.live or worker.killed:
            return
        if reason not in AT_WORK:
            worker.advance(Step.DRAIN)
        worker.killed = reason
        self._order(worker, effects)

    def _order(self, worker: Worker, effects: Effects) -> None:
        """Send what the worker is to have, and limit the time until it is gone.

        Without a process nothing runs there: it is given up once all that is known is handled.
        """
        self._timers.cancel(worker.name)
        if worker.pid is None:
            self._timers.set(worker.name, Timer.GIVE_UP, effects.now)
            return
        timer, limit_s, step = Timer.GRACE, worker.job.plan.terminate.grace_s, "grace"
        if worker.killed:
            timer, limit_s, step = Timer.GIVE_UP, self._give_up_s, "kill"
        self._timers.set(worker.name, timer, effects.now + limit_s)
        effects.await_end(worker, step, limit_s)
        self._deliver(worker, effects)

    def _wake(self, worker: Worker, reason: StopReason, effects: Effects) -> None:
        """There is no process to stop: the wait is over at once, and so is the worker's life."""
        if worker.stop:
            return
        worker.advance(Step.DRAIN)
        worker.stop = reason
        self._timers.set(
            worker.name, Timer.RESTART if worker.restarting else Timer.HOLD, effects.now
        )

    def started(self, worker: Worker, effects: Effects) -> None:
        """Send what the worker was to have in the moment before its process existed."""
        if worker.killed or worker.stop:
            self._order(worker, effects)

    def hurry(self, worker: Worker, effects: Effects) -> None:
        """Stop a worker whose process did not exit in time after its last message."""
        exit_s = exit_limit_s(worker.job.plan.terminate)
        effects.report(
            Warned(
                message=f"{worker.name} has finished, but did not exit within {exit_s:g} s",
                hint="a thread that is no daemon, a child process that Python waits for, or an "
                "atexit function keeps it alive",
                job=worker.job.name,
                worker=worker.name,
            )
        )
        worker.hurried = True
        grace_s = worker.job.plan.terminate.grace_s
        self._timers.set(worker.name, Timer.GRACE, effects.now + grace_s)
        effects.await_end(worker, "grace", grace_s)
        self._deliver(worker, effects)

    def abandon(self, worker: Worker, effects: Effects, *, refused: bool = False) -> None:
        """Fence a process that SIGKILL did not end in time; from now on it counts as dead.

        One that is not there yet is killed if it ever is. `refused`: it may not be signalled at
        all, so that no time is of any use.
        """
        worker.abandoned = True
        if refused and worker.stop:
            worker.killed = worker.killed or worker.stop
        effects.order(Disconnect(worker=worker.name))
        if worker.pid is None and worker.killed is not StopReason.START_TIMEOUT:
            return  # nobody has waited for it for longer than is usual
        message = f"{worker.name} still exists {self._give_up_s:g} s after SIGKILL"
        hint = (
            f"its process {worker.pid} hangs in the kernel (state D): look at its disk"
            " or network mount; the run goes on without it"
        )
        if worker.pid is None:
            message = f"{worker.name} is not to be, and its process is still being made"
            hint = "its forkserver does not answer: was it stopped, or is the machine overloaded?"
        elif refused:
            message = f"{worker.name} can neither be stopped nor killed: operation not permitted"
            hint = (
                f"its process {worker.pid} belongs to another user, since it has executed a setuid"
                " program: end it yourself; the run goes on without it"
            )
        effects.report(Warned(message=message, hint=hint, job=worker.job.name, worker=worker.name))

    def _deliver(self, worker: Worker, effects: Effects) -> None:
        """Send the signal of the step the worker is at, once it has a process."""
        reason = worker.killed or worker.stop or (StopReason.LINGERED if worker.hurried else None)
        if worker.pid is None or reason is None:
            return
        number = _SIGKILL if worker.killed else worker.job.plan.terminate.signal
        if worker.killed:
            effects.order(KillWorker(worker=worker.name, reason=reason))
        else:
            effects.order(SignalWorker(worker=worker.name, signal=number, reason=reason))
        effects.report(
            SignalSent(
                job=worker.job.name,
                worker=worker.name,
                pid=worker.pid,
                signal=signal_name(number),
                reason=reason.value,
            )
        )
