"""The life of one worker as it tells itself: started, ready, closing, dead."""

from __future__ import annotations

import msgspec

from orchestrator.core import facts
from orchestrator.core.commands import KillWorker, StopReason
from orchestrator.core.deadlines import Deadlines, Timer
from orchestrator.core.events import (
    Blame,
    Received,
    StartFailed,
    WorkerDied,
    WorkerLeft,
    WorkerStarted,
)
from orchestrator.core.failing import Failures
from orchestrator.core.halt import Halt
from orchestrator.core.lifecycle import IllegalEvent, State, Step
from orchestrator.core.messages import STOPPED, Closing, Failure, Ready
from orchestrator.core.policy import STOP_FOLLOWS_S, Level, exit_limit_s, restart_delay_s
from orchestrator.core.roster import Roster, Worker
from orchestrator.core.schedule import Scheduler
from orchestrator.core.stopping import Stopper
from orchestrator.core.turn import Turn
from orchestrator.core.wording import hung_in
from orchestrator.plan.model import Recycle

__all__ = ["Lives"]


class Lives:
    """Follows each worker from its process' start to its death."""

    def __init__(
        self,
        *,
        roster: Roster,
        deadlines: Deadlines,
        scheduler: Scheduler,
        stopper: Stopper,
        halt: Halt,
        failures: Failures,
    ) -> None:
        self._roster = roster
        self._deadlines = deadlines
        self._scheduler = scheduler
        self._stopper = stopper
        self._halt = halt
        self._failures = failures

    def started(self, event: WorkerStarted, turn: Turn) -> None:
        """The worker's process exists; its start timeout counts from here."""
        worker = self._roster.worker(event.worker)
        if worker.pid is not None or not (worker.live or worker.abandoned):
            raise IllegalEvent(f"worker {worker.name} is {worker.state.value}: it cannot start")
        worker.pid = event.pid
        if worker.abandoned:
            turn.order(KillWorker(worker=worker.name, reason=StopReason.GRACE_OVER))
            return
        plan = worker.job.plan
        worker.since_s = turn.now
        if plan.timeouts.start_s is not None and not worker.stopping:
            self._deadlines.set(worker.name, Timer.START, turn.now + plan.timeouts.start_s)
        turn.report(
            facts.WorkerStarted(
                job=plan.name,
                worker=worker.name,
                pid=event.pid,
                start_method=plan.start_method.value,
            )
        )
        self._stopper.started(worker, turn)

    def start_failed(self, event: StartFailed, turn: Turn) -> None:
        """The worker's process could not be made, or has died while it was being made.

        One that hung in the making may have been given up already.
        """
        if self._roster.worker(event.worker).abandoned:
            return
        worker = self._living(event.worker)
        worker.unmade = worker.crash = event.failure
        worker.fruitless += 1
        self._lost(worker, Blame(), turn)

    def received(self, event: Received, turn: Turn) -> None:
        """The worker speaks of its life; all other messages are the broker's."""
        message = event.message
        if not isinstance(message, Ready | Closing):
            return
        worker = self._roster.worker(event.worker)
        if worker.abandoned or worker.killed is StopReason.PROTOCOL:
            return
        pid = self._living(event.worker).pid
        if pid is None:
            raise IllegalEvent(f"worker {worker.name} speaks before it has a process")
        if worker.closing or (worker.ready and isinstance(message, Ready)):
            self._failures.breach(worker, f"{type(message).__name__} out of turn", turn)
        elif isinstance(message, Ready):
            self._ready(worker, pid, turn)
        elif message.recycled and worker.job.plan.recycle == Recycle():
            self._failures.breach(worker, "asks to be recycled, which its job does not", turn)
        else:
            self._closing(worker, message, turn)

    def died(self, event: WorkerDied, turn: Turn) -> None:
        """The worker's process is gone."""
        worker = self._roster.worker(event.worker)
        if worker.abandoned:
            worker.exit_code = event.exit_code
            return
        self._living(event.worker)
        worker.exit_code, worker.orphaned = event.exit_code, event.orphaned
        worker.crash, blame = event.failure, Blame()
        if not event.orphaned:
            if event.item:
                worker.item, worker.among = event.item, event.among
            blame = event.blame
        if worker.closing and worker.closing.stopped:
            worker.crash = worker.crash or _stopped_at(worker.closing.stack)
        worker.fruitless = 1 if event.fruitful else worker.fruitless + 1
        worker.called = worker.ready or event.committed
        if worker.was_told_to_stop:
            self._deadlines.cancel(worker.name)
            worker.held = blame
            self._deadlines.set(worker.name, Timer.HOLD, turn.now + STOP_FOLLOWS_S)
        else:
            self._lost(worker, blame, turn)

    def held(self, worker: Worker, turn: Turn) -> None:
        """The run was stopped in time, or it was not: then its death was one like any other."""
        blame, worker.held = worker.held or Blame(), None
        self._lost(worker, blame, turn)

    def _lost(self, worker: Worker, blame: Blame, turn: Turn) -> None:
        """The worker has no process any more: another takes its place, or it has ended."""
        closing = worker.closing
        if closing is not None and closing.failure is not None and not worker.is_ours:
            self._failures.raised(worker, closing, turn)
        if self._is_recycled(worker):
            self._rest(worker, Blame(), turn)
        elif worker.verdict or worker.has_returned or worker.is_ours:
            self.end(worker, blame, turn)
        elif self.may_be_replaced(worker, turn.now):
            self._rest(worker, blame, turn)
        else:
            worker.succumb(self.used_up(worker))
            self.end(worker, blame, turn)

    def end(self, worker: Worker, blame: Blame, turn: Turn) -> None:
        """The worker's process is gone, or counts as gone."""
        job = worker.job
        self._deadlines.cancel(worker.name)
        if not worker.resting:
            turn.order(self._farewell(worker, blame, replaced=False))
        worker.conclude()
        job.living -= 1
        turn.report(_obituary(worker))
        if worker.state in (State.FAILED, State.TIMED_OUT):
            self._failures.fail_job(worker, worker.reason, turn)
        if worker.state is State.SUCCEEDED:
            self._count_ready(worker, turn)
        if not job.living:
            self._scheduler.ended(job, turn)

    @staticmethod
    def _farewell(worker: Worker, blame: Blame, *, replaced: bool) -> WorkerLeft:
        """Tell the broker. A worker that was stopped, but for its item, has not died of that."""
        failure = Failure(
            kind="WorkerDied",
            message=worker.death,
            traceback=worker.crash.traceback if worker.crash else "",
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
        """Whether the job may lose one more worker (its `restart`).

        A target that is called once and was not yet can be called by another process.
        """
        restart, job = worker.job.plan.restart, worker.job
        job.replaced = [when for when in job.replaced if when > now - restart.within_s]
        once = job.plan.shape.called_once and worker.called
        wanted = not job.failing and self._halt.level <= (Level.RUN if once else Level.DRAIN)
        return wanted and len(job.replaced) < _most_restarts(worker)

    @staticmethod
    def used_up(worker: Worker) -> str:
        """Say that its job may lose no worker more; nothing if it may lose none in any case."""
        restart, most = worker.job.plan.restart, _most_restarts(worker)
        if not worker.job.replaced or not most:
            return ""
        return f"; the job has used up its restarts ({most} within {restart.within_s:g} s)"

    def _is_recycled(self, worker: Worker) -> bool:
        """Whether it has given its place up itself, and is still needed there."""
        wanted = not worker.job.failing and self._halt.level <= Level.DRAIN
        return worker.recycled and wanted and not (worker.stop or worker.unwanted)

    def _rest(self, worker: Worker, blame: Blame, turn: Turn) -> None:
        self._deadlines.cancel(worker.name)
        turn.order(self._farewell(worker, blame, replaced=True))
        worker.rest()
        delay_s = 0.0
        if not worker.recycled:
            worker.job.replaced.append(turn.now)
            delay_s = restart_delay_s(worker.fruitless)
        self._deadlines.set(worker.name, Timer.REST, turn.now + delay_s)

    def rested(self, worker: Worker, turn: Turn) -> None:
        """The wait is over: a new process, unless the run or the job wants none any more."""
        if worker.stop:
            self.end(worker, Blame(), turn)
            return
        turn.report(
            facts.WorkerReplaced(
                job=worker.job.name,
                worker=worker.name,
                pid=worker.pid,
                exit_code=worker.exit_code,
                reason=f"was recycled ({worker.worn.value})" if worker.worn else worker.death,
                n=0 if worker.recycled else len(worker.job.replaced),
                item=worker.item,
            )
        )
        worker.job.recycled += worker.recycled
        worker.job.restarts += not worker.recycled
        worker.renew()
        self._scheduler.start(worker, turn)

    def not_replaced(self, worker: Worker, turn: Turn, more: str = "") -> None:
        """An item has failed its job: there will be no other process. `more` is told of it."""
        worker.succumb(more)
        self.end(worker, Blame(), turn)

    def _living(self, name: str) -> Worker:
        """Return a worker that lives. Raises IllegalEvent if it does not."""
        worker = self._roster.worker(name)
        if not worker.live:
            raise IllegalEvent(f"worker {name} is {worker.state.value}: nothing comes from it")
        return worker

    def _ready(self, worker: Worker, pid: int, turn: Turn) -> None:
        """The target is loaded: the run timeout begins."""
        worker.advance(Step.READY)
        worker.ready = True
        job, run_s = worker.job, worker.job.plan.timeouts.run_s
        turn.report(
            facts.WorkerReady(
                job=job.name,
                worker=worker.name,
                pid=pid,
                start_s=turn.now - worker.since_s,
            )
        )
        self._deadlines.cancel(worker.name, Timer.START)
        if run_s is not None and not worker.stopping:
            self._deadlines.set(worker.name, Timer.RUN, turn.now + run_s)
        if job.input_ended or job.dismissed:
            self._halt.limit_join(worker, turn)
        self._count_ready(worker, turn)

    def _count_ready(self, worker: Worker, turn: Turn) -> None:
        """The first time of a worker counts; with the last one its job is ready."""
        job = worker.job
        if worker.name in job.unready:
            job.unready.discard(worker.name)
            if not job.unready and not job.failing:
                self._scheduler.ready(job, turn)

    def _closing(self, worker: Worker, message: Closing, turn: Turn) -> None:
        """The worker's last message: what it has done is known, its process is yet to exit."""
        worker.advance(Step.DRAIN)
        worker.closing = message
        if worker.stopping:
            worker.failure = worker.failure or message.failure or _stopped_at(message.stack)
            return
        self._deadlines.cancel(worker.name)
        exit_s = exit_limit_s(worker.job.plan.terminate)
        self._deadlines.set(worker.name, Timer.LINGER, turn.now + exit_s)
        if message.stopped or message.signalled:
            return  # whose signal it was, and what follows, is decided when the process is gone
        if message.failure:
            self._failures.raised(worker, message, turn)
        elif worker.has_returned:
            worker.verdict = State.SUCCEEDED


def _most_restarts(worker: Worker) -> int:
    restart = worker.job.plan.restart
    return restart.max if worker.called else max(restart.max, restart.before_call)


def _stopped_at(stack: str) -> Failure | None:
    """Where the stop met the target, told as an exception of it is."""
    return Failure(kind=STOPPED, message="stopped here", traceback=stack) if stack else None


def _obituary(worker: Worker) -> facts.WorkerEnded:
    """Return the fact that tells of a worker's end."""
    return facts.WorkerEnded(
        job=worker.job.name,
        worker=worker.name,
        pid=worker.pid,
        state=worker.state.value,
        exit_code=worker.exit_code,
        reason=worker.reason,
        item=worker.item,
        failure=worker.failure,
    )
