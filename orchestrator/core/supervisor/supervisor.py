"""The supervisor: what follows from starts, deaths, timeouts and Ctrl-C. A pure state machine.

It learns what happened through `handle` and answers with what is to be done; `next_deadline` says
when it wants to hear `Ticked`. Its rules for people: docs/lifecycle.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.core.protocol import events, notifications
from orchestrator.core.protocol.commands import Command, Finish, StopReason
from orchestrator.core.protocol.events import Blame, BrokerNews, Event, StopHow, SupervisorNews
from orchestrator.core.reasons import failed, overdue, signal_name
from orchestrator.core.supervisor.failures import Failures
from orchestrator.core.supervisor.model import Effects, JobView, RunModel, Worker, WorkerView
from orchestrator.core.supervisor.policy import GIVE_UP_S, ONE_REQUEST_S, RunOutcome, StopLevel
from orchestrator.core.supervisor.scheduler import Scheduler
from orchestrator.core.supervisor.shutdown import Shutdown, Stopper
from orchestrator.core.supervisor.timers import Timer, Timers
from orchestrator.core.supervisor.transitions import ENDED, IllegalEvent
from orchestrator.core.supervisor.workers import WorkerLifecycle
from orchestrator.errors import ExitCode
from orchestrator.plan.model import ErrorAction, JobPlan, Plan

__all__ = ["Supervisor"]

_PLAN = ""
"""The owner of the plan's own deadline; no worker has this name."""

_SIGHUP = 1

_STOP_TIMERS = (
    Timer.START,
    Timer.JOIN,
    Timer.LINGER,
    Timer.GRACE,
    Timer.GIVE_UP,
    Timer.RESTART,
    Timer.HOLD,
)


class Supervisor:
    """Starts the jobs of a plan, watches over their workers, and ends them by its policies.

    Those that are `done` had succeeded before the run was resumed.
    """

    def __init__(
        self, plan: Plan, *, done: Iterable[str] = (), give_up_s: float = GIVE_UP_S
    ) -> None:
        self._plan = plan
        self._done = tuple(done)
        self._model = model = RunModel(plan)
        self._timers = timers = Timers()
        self._scheduler = scheduler = Scheduler(model, timers)
        self._stopper = stopper = Stopper(timers, give_up_s=give_up_s)
        self._shutdown = shutdown = Shutdown(model, timers, scheduler, stopper)
        self._failures = Failures(shutdown, stopper)
        self._workers = WorkerLifecycle(
            model=model,
            timers=timers,
            scheduler=scheduler,
            stopper=stopper,
            shutdown=shutdown,
            failures=self._failures,
        )
        self._began = False
        self._dismissed = False
        self._interrupts = 0
        self._terminated_at: float | None = None
        self._outcome: RunOutcome | None = None
        self._handlers: dict[type, Callable[[Any, Effects], None]] = {
            events.Began: self._on_began,
            events.ProcessStarted: self._workers.started,
            events.StartFailed: self._workers.start_failed,
            events.Received: self._workers.received,
            events.WorkerDied: self._workers.died,
            events.Malformed: self._on_malformed,
            events.Interrupted: self._on_interrupted,
            events.Terminated: self._on_terminated,
            events.StopAsked: self._on_stop_asked,
            events.Ticked: self._on_ticked,
            events.ItemOverdue: self._on_item_overdue,
            events.Unstoppable: self._on_unstoppable,
            events.ItemFatal: self._on_item_failed,
            events.PutRefused: self._on_put_refused,
            events.InputEnded: self._on_input_ended,
            events.StallDetected: self._on_stalled,
        }

    def handle(self, event: Event | SupervisorNews, now: float) -> list[Command | BrokerNews]:
        """Take in one event at the monotonic time `now` (seconds); return what is to be done.

        Events that are the broker's alone, and all that come after the end, do nothing. Raises
        IllegalEvent, and changes nothing, for an event that cannot happen now.
        """
        handler = self._handlers.get(type(event))
        if handler is None or self._outcome is not None:
            return []
        if self._began is isinstance(event, events.Began):
            raise IllegalEvent(f"{type(event).__name__}: a run begins first, and once")
        effects = Effects(now)
        handler(event, effects)
        self._wind_up(effects)
        return effects.close()

    def next_deadline(self) -> float | None:
        """Return when the next `Ticked` is due, in monotonic seconds; None: nothing is timed."""
        return self._timers.next()

    @property
    def job_states(self) -> Mapping[str, JobView]:
        """Return how each job is now, in spec order."""
        return {name: job.view() for name, job in self._model.jobs.items()}

    @property
    def worker_states(self) -> Mapping[str, WorkerView]:
        """Return how each worker is now, in spec order."""
        return {name: worker.view() for name, worker in self._model.workers.items()}

    @property
    def pids(self) -> Mapping[str, int | None]:
        """Return the process of each worker, living or not; None before it has one."""
        return {worker.name: worker.pid for worker in self._model.workers.values()}

    @property
    def is_stopping(self) -> bool:
        """True if a deadline will end some worker's wait: a stall would be no news."""
        return self._timers.any_of(*_STOP_TIMERS)

    @property
    def outcome(self) -> RunOutcome | None:
        """Return how the run has ended; None while it has not."""
        return self._outcome

    def _on_began(self, _: events.Began, effects: Effects) -> None:
        self._began = True
        if self._plan.timeout_s is not None:
            self._timers.set(_PLAN, Timer.PLAN, effects.now + self._plan.timeout_s)
        self._scheduler.begin(effects, self._done)

    def _on_interrupted(self, _: events.Interrupted, effects: Effects) -> None:
        """The first Ctrl-C drains, the second terminates, the third kills."""
        self._interrupts += 1
        self._failures.note(ExitCode.INT, "interrupted")
        level = {1: StopLevel.DRAIN, 2: StopLevel.TERMINATE}.get(self._interrupts, StopLevel.KILL)
        self._shutdown.raise_to(level, StopReason.INTERRUPTED, "interrupted", effects)

    def _on_terminated(self, event: events.Terminated, effects: Effects) -> None:
        name = signal_name(event.signal)
        self._failures.note(ExitCode.HUP if event.signal == _SIGHUP else ExitCode.TERM, name)
        before = self._terminated_at
        if before is not None and effects.now - before < ONE_REQUEST_S:
            return
        self._terminated_at = effects.now
        level = StopLevel.TERMINATE if before is None else StopLevel.KILL
        self._shutdown.raise_to(level, StopReason.TERMINATED, name, effects)

    def _on_stop_asked(self, event: events.StopAsked, effects: Effects) -> None:
        """As far as is asked, never by counting; a Ctrl-C that follows goes further than that."""
        why = f"mporch stop{'' if event.how is StopHow.DRAIN else f' --{event.how.value}'}"
        if event.how is StopHow.DRAIN:
            self._failures.note(ExitCode.INT, why)
            self._interrupts = max(self._interrupts, 1)
            self._shutdown.raise_to(StopLevel.DRAIN, StopReason.INTERRUPTED, why, effects)
            return
        self._failures.note(ExitCode.TERM, why)
        self._interrupts = max(self._interrupts, 2)
        level = StopLevel.TERMINATE if event.how is StopHow.TERMINATE else StopLevel.KILL
        self._shutdown.raise_to(level, StopReason.TERMINATED, why, effects)

    def _on_malformed(self, event: events.Malformed, effects: Effects) -> None:
        worker = self._model.worker(event.worker)
        if worker.live and worker.killed is not StopReason.PROTOCOL:
            self._failures.breach(worker, event.detail, effects)

    def _on_item_overdue(self, event: events.ItemOverdue, effects: Effects) -> None:
        """An item has had its time, `timeouts.item`: its worker is killed, with its stack told."""
        worker = self._model.worker(event.worker)
        if worker.live and not worker.stopping and not worker.closing:
            worker.item, worker.among, plan = event.item, event.among, worker.job.plan
            worker.item_name = event.item_name
            text = worker.named(overdue(event.item, event.among, plan.timeouts.item_s))
            if _outlives_its_items(plan):
                if self._workers.may_be_replaced(worker, effects.now):
                    self._stopper.kill(worker, StopReason.ITEM_TIMEOUT, effects)
                    return
                text += self._workers.used_up(worker)
            self._failures.time_out(worker, StopReason.ITEM_TIMEOUT, text, effects)

    def _on_unstoppable(self, event: events.Unstoppable, effects: Effects) -> None:
        worker = self._model.worker(event.worker)
        if worker.live and not worker.gone:
            self._stopper.abandon(worker, effects, refused=True)
            self._workers.end(worker, Blame(), effects)

    def _on_item_failed(self, event: events.ItemFatal, effects: Effects) -> None:
        worker = self._model.worker(event.worker)
        if worker.item == event.item and (worker.restarting or worker.state in ENDED):
            if worker.restarting:  # the broker has added to how it died why that is its item's end
                death, said = worker.death, event.failure.message
                more = said.removeprefix(death) if said.startswith(death) else ""
                self._workers.not_replaced(worker, effects, more)
            return  # it died of this item, which is told with its end
        effects.report(
            notifications.ItemFailed(
                job=worker.job.name,
                worker=worker.name,
                item=event.item,
                queue=event.queue,
                failure=event.failure,
            )
        )
        if worker.stopping:
            return
        reason = failed(event.failure, event.item)
        self._failures.fail(worker, reason, effects, failure=event.failure)
        if worker.restarting:
            self._workers.not_replaced(worker, effects)

    def _on_put_refused(self, event: events.PutRefused, effects: Effects) -> None:
        worker = self._model.worker(event.worker)
        if worker.stopping:
            return
        self._failures.fail(worker, failed(event.failure), effects, failure=event.failure)
        if worker.restarting:
            self._workers.not_replaced(worker, effects)

    def _on_input_ended(self, event: events.InputEnded, effects: Effects) -> None:
        job = self._model.job(event.job)
        if not job.input_ended:
            job.input_ended, job.input_ended_at = True, effects.now
            for worker in job.live_workers():
                self._shutdown.limit_join(worker, effects)

    def _on_stalled(self, event: events.StallDetected, effects: Effects) -> None:
        waiting = (*event.waits, *self._scheduler.waits())
        effects.report(notifications.Stalled(waits=waiting))
        waits = ", ".join(f"{who} waits for {what}" for who, what in waiting)
        self._failures.note(ExitCode.FAILED, f"the run stalled: {waits}")
        self._shutdown.raise_to(StopLevel.STOP, StopReason.STALLED, "the run stalled", effects)
        self._shutdown.stop_all(StopReason.STALLED, effects)

    def _on_ticked(self, _: events.Ticked, effects: Effects) -> None:
        while due := self._timers.pop_due(effects.now):
            owner, timer = due
            if timer is Timer.PLAN:
                text = f"the run took longer than {_limit(self._plan.timeout_s)} (timeout)"
                self._failures.note(ExitCode.TIMEOUT, text)
                self._shutdown.raise_to(StopLevel.TERMINATE, StopReason.PLAN_TIMEOUT, text, effects)
                continue
            self._expire(self._model.worker(owner), timer, effects)
            if timer is Timer.HOLD:
                return  # what the broker says to this death comes before a new process: tick again

    def _expire(self, worker: Worker, timer: Timer, effects: Effects) -> None:
        """A deadline of the worker's has come: timeouts.start or .run, join, grace, restart."""
        plan = worker.job.plan
        if timer is Timer.START:
            self._stopper.kill(worker, StopReason.START_TIMEOUT, effects)
            text = f"was not ready within {_limit(plan.timeouts.start_s)} (timeouts.start)"
            self._failures.fail(worker, text, effects)
        elif timer is Timer.RUN:
            text = f"ran longer than {_limit(plan.timeouts.run_s)} (timeouts.run)"
            self._failures.time_out(worker, StopReason.RUN_TIMEOUT, text, effects)
        elif timer is Timer.JOIN:
            self._expire_join(worker, effects)
        elif timer is Timer.LINGER:
            self._stopper.hurry(worker, effects)
        elif timer is Timer.RESTART:
            self._workers.restarted(worker, effects)
        elif timer is Timer.HOLD:
            self._workers.held(worker, effects)
        elif timer is Timer.GRACE:
            self._stopper.kill(worker, StopReason.GRACE_OVER, effects)
        else:
            self._stopper.abandon(worker, effects)
            self._workers.end(worker, Blame(), effects)

    def _expire_join(self, worker: Worker, effects: Effects) -> None:
        """A daemon that was dismissed fails only if it leaves items behind."""
        job, limit = worker.job, _limit(self._shutdown.join_s(worker.job))
        if job.dismissed and job.input_ended:
            self._stopper.stop(worker, StopReason.NOT_NEEDED, effects)
            return
        end = "its input" if job.input_ended else "all other jobs, and its input is not empty"
        text = f"did not return within {limit} of the end of {end} (join)"
        self._failures.time_out(worker, StopReason.JOIN_TIMEOUT, text, effects)

    def _wind_up(self, effects: Effects) -> None:
        """Dismiss the daemons when they are alone; finish when everybody has ended."""
        if not self._dismissed and self._model.only_daemons():
            self._dismissed = True
            self._shutdown.dismiss_daemons(effects)
        if self._model.ended():
            self._outcome = self._failures.outcome()
            self._timers.clear()
            effects.order(Finish())


def _outlives_its_items(plan: JobPlan) -> bool:
    """True if an item may fail without failing its job."""
    return plan.retry.attempts > 1 or plan.on_error.otherwise is not ErrorAction.FAIL


def _limit(seconds: float | None) -> str:
    return "its limit" if seconds is None else f"{seconds:g} s"
