"""The life of one worker: started, ready, closing, dead; its timeouts and its restarts."""

from __future__ import annotations

import msgspec

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import KillWorker, StopReason
from orchestrator.core.protocol.events import (
    Blame,
    ProcessStarted,
    Received,
    StartFailed,
    WorkerDied,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import STOPPED, Closing, Failure, Ready
from orchestrator.core.reasons import hung_in
from orchestrator.core.supervisor.failures import Failures
from orchestrator.core.supervisor.model import Effects, Job, RunModel, Worker
from orchestrator.core.supervisor.policy import (
    LOSSES_MAX,
    LOSSES_WITHIN_S,
    ONE_LOSS_S,
    STOP_FOLLOWS_S,
    StopLevel,
    exit_limit_s,
    restart_delay_s,
)
from orchestrator.core.supervisor.scheduler import Scheduler
from orchestrator.core.supervisor.shutdown import Shutdown, Stopper
from orchestrator.core.supervisor.timers import Timer, Timers
from orchestrator.core.supervisor.transitions import IllegalEvent, State, Step
from orchestrator.plan.model import RecyclePlan

__all__ = ["WorkerLifecycle"]


class WorkerLifecycle:
    """Follows each worker from its process' start to its death."""

    def __init__(
        self,
        *,
        model: RunModel,
        timers: Timers,
        scheduler: Scheduler,
        stopper: Stopper,
        shutdown: Shutdown,
        failures: Failures,
    ) -> None:
        self._model = model
        self._timers = timers
        self._scheduler = scheduler
        self._stopper = stopper
        self._shutdown = shutdown
        self._failures = failures

    def started(self, event: ProcessStarted, effects: Effects) -> None:
        """The worker's process exists; its start timeout counts from here."""
        worker = self._model.worker(event.worker)
        if worker.pid is not None or not (worker.live or worker.abandoned):
            raise IllegalEvent(f"worker {worker.name} is {worker.state.value}: it cannot start")
        worker.pid = event.pid
        if worker.abandoned:
            effects.order(KillWorker(worker=worker.name, reason=StopReason.GRACE_OVER))
            return
        plan = worker.job.plan
        worker.since_s = effects.now
        if plan.timeouts.start_s is not None and not worker.stopping:
            self._timers.set(worker.name, Timer.START, effects.now + plan.timeouts.start_s)
        effects.report(
            notifications.WorkerStarted(
                job=plan.name,
                worker=worker.name,
                pid=event.pid,
                start_method=plan.start_method.value,
            )
        )
        self._stopper.started(worker, effects)

    def start_failed(self, event: StartFailed, effects: Effects) -> None:
        """The worker's process could not be made, or has died while it was being made.

        One that hung in the making may have been given up already.
        """
        if self._model.worker(event.worker).abandoned:
            return
        worker = self._living(event.worker)
        worker.unmade = worker.crash = event.failure
        worker.orphaned = event.orphaned
        worker.failed_starts += 1
        self._lost(worker, Blame(), effects)

    def received(self, event: Received, effects: Effects) -> None:
        """The worker speaks of its life; all other messages are the broker's."""
        message = event.message
        if not isinstance(message, Ready | Closing):
            return
        worker = self._model.worker(event.worker)
        if worker.abandoned or worker.killed is StopReason.PROTOCOL:
            return
        pid = self._living(event.worker).pid
        if pid is None:
            raise IllegalEvent(f"worker {worker.name} speaks before it has a process")
        if worker.closing or (worker.ready and isinstance(message, Ready)):
            self._failures.breach(worker, f"{type(message).__name__} out of turn", effects)
        elif isinstance(message, Ready):
            self._ready(worker, pid, effects)
        elif message.recycled and worker.job.plan.recycle == RecyclePlan():
            self._failures.breach(worker, "asks to be recycled, which its job does not", effects)
        else:
            self._closing(worker, message, effects)

    def died(self, event: WorkerDied, effects: Effects) -> None:
        """The worker's process is gone."""
        worker = self._model.worker(event.worker)
        if worker.abandoned:
            worker.exit_code = event.exit_code
            return
        self._living(event.worker)
        worker.exit_code, worker.orphaned = event.exit_code, event.orphaned
        worker.crash, blame = event.failure, Blame()
        if not event.orphaned:
            if event.item:
                worker.item, worker.among = event.item, event.among
                worker.item_name = event.item_name
            blame = event.blame
        if worker.closing and worker.closing.stopped:
            worker.crash = worker.crash or _stopped_at(worker.closing.stack)
        elif worker.killed and worker.is_ours and worker.crash and worker.crash.kind == STOPPED:
            worker.failure = worker.failure or worker.crash
        worker.failed_starts = 1 if event.made_progress else worker.failed_starts + 1
        worker.called = worker.ready or event.committed
        if worker.was_told_to_stop:
            self._timers.cancel(worker.name)
            worker.held = blame
            self._timers.set(worker.name, Timer.HOLD, effects.now + STOP_FOLLOWS_S)
        else:
            self._lost(worker, blame, effects)

    def held(self, worker: Worker, effects: Effects) -> None:
        """The run was stopped in time, or it was not: then its death was one like any other."""
        blame, worker.held = worker.held or Blame(), None
        self._lost(worker, blame, effects)

    def _lost(self, worker: Worker, blame: Blame, effects: Effects) -> None:
        """The worker has no process any more: another takes its place, or it has ended."""
        closing = worker.closing
        if closing is not None and closing.failure is not None and not worker.is_ours:
            self._failures.raised(worker, closing, effects)
        if self._is_recycled(worker):
            self._restart(worker, Blame(), effects)
        elif worker.verdict or worker.has_returned or worker.is_ours:
            self.end(worker, blame, effects)
        elif self.may_be_replaced(worker, effects.now):
            self._restart(worker, blame, effects)
        else:
            worker.die(self.used_up(worker))
            self.end(worker, blame, effects)

    def end(self, worker: Worker, blame: Blame, effects: Effects) -> None:
        """The worker's process is gone, or counts as gone."""
        job = worker.job
        self._timers.cancel(worker.name)
        if not worker.restarting:
            effects.order(self._left_event(worker, blame, replaced=False))
        worker.conclude()
        job.living -= 1
        effects.report(_ended_event(worker))
        if worker.state in (State.FAILED, State.TIMED_OUT):
            self._failures.fail_job(worker, worker.reason, effects)
        if worker.state is State.SUCCEEDED:
            self._count_ready(worker, effects)
        if not job.living:
            self._scheduler.ended(job, effects)

    @staticmethod
    def _left_event(worker: Worker, blame: Blame, *, replaced: bool) -> WorkerLeft:
        """Tell the broker. A worker that was stopped, but for its item, has not died of that."""
        failure = Failure(
            kind="WorkerDied",
            message=worker.death,
            traceback=worker.crash.traceback if worker.crash else "",
            item_name=worker.item_name,
        )
        hung = worker.crash if worker.killed is StopReason.ITEM_TIMEOUT else None
        if hung is not None and hung.kind == STOPPED:
            stack = hung_in(hung, worker.death)
            failure = msgspec.structs.replace(failure, traceback=stack, where=hung.where)
        return WorkerLeft(
            worker=worker.name,
            returned=worker.has_returned,
            replaced=replaced,
            blame=Blame() if worker.is_ours else blame,
            failure=failure,
        )

    # -- a new process takes a dead one's place ---------------------------------------------------

    def may_be_replaced(self, worker: Worker, now: float) -> bool:
        """True if the job may lose one more worker (its `restart`).

        A target that is called once and was not yet can be called by another process.
        """
        restart, job = worker.job.plan.restart, worker.job
        job.replaced = [when for when in job.replaced if when > now - restart.within_s]
        once = job.plan.shape.called_once and worker.called
        wanted = not job.failing and self._shutdown.level <= (
            StopLevel.RUN if once else StopLevel.DRAIN
        )
        if worker.orphaned:
            return wanted and bool(restart.max or not once) and _may_be_lost(job, now)
        return wanted and len(job.replaced) < _most_restarts(worker)

    @staticmethod
    def used_up(worker: Worker) -> str:
        """Say that its job may lose no worker more; nothing if it may lose none in any case."""
        if worker.orphaned:
            if len(worker.job.losses) < LOSSES_MAX:
                return ""
            limit = f"{LOSSES_MAX} times within {LOSSES_WITHIN_S / 60:g} min"
            return f"; the job has lost workers in this way as often as it may ({limit})"
        restart, most = worker.job.plan.restart, _most_restarts(worker)
        if not worker.job.replaced or not most:
            return ""
        return f"; the job has used up its restarts ({most} within {restart.within_s:g} s)"

    def _is_recycled(self, worker: Worker) -> bool:
        """True if it has given its place up itself, and is still needed there."""
        wanted = not worker.job.failing and self._shutdown.level <= StopLevel.DRAIN
        return worker.recycled and wanted and not (worker.stop or worker.unwanted)

    def _restart(self, worker: Worker, blame: Blame, effects: Effects) -> None:
        """Its process is gone: the broker is told, and a new one comes after a wait."""
        self._timers.cancel(worker.name)
        effects.order(self._left_event(worker, blame, replaced=True))
        worker.await_restart()
        delay_s = 0.0
        if worker.orphaned:
            _note_loss(worker.job, effects.now)
        elif not worker.recycled:
            worker.job.replaced.append(effects.now)
        if not worker.recycled:
            delay_s = restart_delay_s(worker.failed_starts)
        self._timers.set(worker.name, Timer.RESTART, effects.now + delay_s)

    def restarted(self, worker: Worker, effects: Effects) -> None:
        """The wait is over: a new process, unless the run or the job wants none any more."""
        if worker.stop:
            self.end(worker, Blame(), effects)
            return
        effects.report(
            notifications.WorkerReplaced(
                job=worker.job.name,
                worker=worker.name,
                pid=worker.pid,
                exit_code=worker.exit_code,
                reason=f"was recycled ({worker.worn.value})"
                if worker.worn
                else worker.named(worker.death),
                n=_times(worker),
                item=worker.item,
            )
        )
        if worker.recycled:
            worker.job.recycled += 1
        elif worker.orphaned:
            worker.job.orphaned += 1
        else:
            worker.job.restarts += 1
        worker.renew()
        self._scheduler.start(worker, effects)

    def not_replaced(self, worker: Worker, effects: Effects, more: str = "") -> None:
        """An item has failed its job: there will be no other process. `more` is told of it."""
        worker.die(more)
        self.end(worker, Blame(), effects)

    def _living(self, name: str) -> Worker:
        """Return a worker that lives. Raises IllegalEvent if it does not."""
        worker = self._model.worker(name)
        if not worker.live:
            raise IllegalEvent(f"worker {name} is {worker.state.value}: nothing comes from it")
        return worker

    def _ready(self, worker: Worker, pid: int, effects: Effects) -> None:
        """The target is loaded: `timeouts.run` counts from here, for this process."""
        worker.advance(Step.READY)
        worker.ready = True
        job, run_s = worker.job, worker.job.plan.timeouts.run_s
        effects.report(
            notifications.WorkerReady(
                job=job.name,
                worker=worker.name,
                pid=pid,
                start_s=effects.now - worker.since_s,
            )
        )
        self._timers.cancel(worker.name, Timer.START)
        if run_s is not None and not worker.stopping:
            self._timers.set(worker.name, Timer.RUN, effects.now + run_s)
        if job.input_ended or job.dismissed:
            self._shutdown.limit_join(worker, effects)
        self._count_ready(worker, effects)

    def _count_ready(self, worker: Worker, effects: Effects) -> None:
        """The first time of a worker counts; with the last one its job is ready."""
        job = worker.job
        if worker.name in job.unready:
            job.unready.discard(worker.name)
            if not job.unready and not job.failing:
                self._scheduler.ready(job, effects)

    def _closing(self, worker: Worker, message: Closing, effects: Effects) -> None:
        """The worker's last message: what it has done is known, its process is yet to exit."""
        worker.advance(Step.DRAIN)
        worker.closing = message
        if worker.stopping:
            worker.failure = worker.failure or message.failure or _stopped_at(message.stack)
            return
        self._timers.cancel(worker.name)
        exit_s = exit_limit_s(worker.job.plan.terminate)
        self._timers.set(worker.name, Timer.LINGER, effects.now + exit_s)
        if message.stopped or message.signalled:
            return  # whose signal it was, and what follows, is decided when the process is gone
        if message.failure:
            self._failures.raised(worker, message, effects)
        elif worker.has_returned:
            worker.verdict = State.SUCCEEDED


def _may_be_lost(job: Job, now: float) -> bool:
    """Return whether the job may lose a worker with what it depends on, by a budget of its own."""
    job.losses = [when for when in job.losses if when > now - LOSSES_WITHIN_S]
    return len(job.losses) < LOSSES_MAX or now - job.losses[-1] <= ONE_LOSS_S


def _note_loss(job: Job, now: float) -> None:
    """Count a loss; who was lost with others costs nothing more."""
    if not job.losses or now - job.losses[-1] > ONE_LOSS_S:
        job.losses.append(now)


def _times(worker: Worker) -> int:
    """Return how many of its kind this death of the job is, of late; 0 if it was recycled."""
    if worker.recycled:
        return 0
    return len(worker.job.losses if worker.orphaned else worker.job.replaced)


def _most_restarts(worker: Worker) -> int:
    restart = worker.job.plan.restart
    return restart.max if worker.called else max(restart.max, restart.before_call)


def _stopped_at(stack: str) -> Failure | None:
    """Return where the stop met the target, told as an exception of it is."""
    return Failure(kind=STOPPED, message="stopped here", traceback=stack) if stack else None


def _ended_event(worker: Worker) -> notifications.WorkerEnded:
    """Return the fact that tells of a worker's end."""
    return notifications.WorkerEnded(
        job=worker.job.name,
        worker=worker.name,
        pid=worker.pid,
        state=worker.state.value,
        exit_code=worker.exit_code,
        reason=worker.reason,
        item=worker.item,
        failure=worker.failure,
    )
