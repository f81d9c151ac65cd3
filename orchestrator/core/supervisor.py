"""The supervisor: owns every worker's life, from its start to its death. A pure state machine.

It learns what happened through `handle` and answers with what is to be done; `next_deadline` says
when it wants to hear `Ticked`. Its rules for people: docs/lifecycle.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.core import events, facts
from orchestrator.core.commands import Command, Finish, StopReason
from orchestrator.core.deadlines import Deadlines, Timer
from orchestrator.core.events import Blame, BrokerNews, Event, SupervisorNews
from orchestrator.core.failing import Failures
from orchestrator.core.halt import Halt
from orchestrator.core.lifecycle import ENDED, IllegalEvent
from orchestrator.core.lives import Lives
from orchestrator.core.policy import GIVE_UP_S, ONE_REQUEST_S, Level, Outcome
from orchestrator.core.roster import JobView, Roster, Worker, WorkerView
from orchestrator.core.schedule import Scheduler
from orchestrator.core.stopping import Stopper
from orchestrator.core.turn import Turn
from orchestrator.core.wording import failed, overdue, signal_name
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
    Timer.REST,
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
        self._roster = roster = Roster(plan)
        self._deadlines = deadlines = Deadlines()
        self._scheduler = scheduler = Scheduler(roster, deadlines)
        self._stopper = stopper = Stopper(deadlines, give_up_s=give_up_s)
        self._halt = halt = Halt(roster, deadlines, scheduler, stopper)
        self._failures = Failures(halt, stopper)
        self._lives = Lives(
            roster=roster,
            deadlines=deadlines,
            scheduler=scheduler,
            stopper=stopper,
            halt=halt,
            failures=self._failures,
        )
        self._began = False
        self._dismissed = False
        self._interrupts = 0
        self._terminated_at: float | None = None
        self._outcome: Outcome | None = None
        self._handlers: dict[type, Callable[[Any, Turn], None]] = {
            events.Began: self._on_began,
            events.WorkerStarted: self._lives.started,
            events.StartFailed: self._lives.start_failed,
            events.Received: self._lives.received,
            events.WorkerDied: self._lives.died,
            events.Malformed: self._on_malformed,
            events.Interrupted: self._on_interrupted,
            events.Terminated: self._on_terminated,
            events.Ticked: self._on_ticked,
            events.ItemOverdue: self._on_item_overdue,
            events.Unstoppable: self._on_unstoppable,
            events.ItemFailed: self._on_item_failed,
            events.PutRefused: self._on_put_refused,
            events.InputEnded: self._on_input_ended,
            events.Stalled: self._on_stalled,
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
        turn = Turn(now)
        handler(event, turn)
        self._wind_up(turn)
        return turn.close()

    def next_deadline(self) -> float | None:
        """Return when the next `Ticked` is due, in monotonic seconds; None: nothing is timed."""
        return self._deadlines.next()

    @property
    def job_states(self) -> Mapping[str, JobView]:
        """How each job is now, in spec order."""
        return {name: job.view() for name, job in self._roster.jobs.items()}

    @property
    def worker_states(self) -> Mapping[str, WorkerView]:
        """How each worker is now, in spec order."""
        return {name: worker.view() for name, worker in self._roster.workers.items()}

    @property
    def is_stopping(self) -> bool:
        """Whether a deadline will end some worker's wait: a stall would be no news."""
        return self._deadlines.any_of(*_STOP_TIMERS)

    @property
    def outcome(self) -> Outcome | None:
        """How the run has ended; None while it has not."""
        return self._outcome

    def _on_began(self, _: events.Began, turn: Turn) -> None:
        self._began = True
        if self._plan.timeout_s is not None:
            self._deadlines.set(_PLAN, Timer.PLAN, turn.now + self._plan.timeout_s)
        self._scheduler.begin(turn, self._done)

    def _on_interrupted(self, _: events.Interrupted, turn: Turn) -> None:
        self._interrupts += 1
        self._failures.note(ExitCode.INT, "interrupted")
        level = {1: Level.DRAIN, 2: Level.TERMINATE}.get(self._interrupts, Level.KILL)
        self._halt.raise_to(level, StopReason.INTERRUPTED, "interrupted", turn)

    def _on_terminated(self, event: events.Terminated, turn: Turn) -> None:
        name = signal_name(event.signal)
        self._failures.note(ExitCode.HUP if event.signal == _SIGHUP else ExitCode.TERM, name)
        before = self._terminated_at
        if before is not None and turn.now - before < ONE_REQUEST_S:
            return
        self._terminated_at = turn.now
        level = Level.TERMINATE if before is None else Level.KILL
        self._halt.raise_to(level, StopReason.TERMINATED, name, turn)

    def _on_malformed(self, event: events.Malformed, turn: Turn) -> None:
        worker = self._roster.worker(event.worker)
        if worker.live and worker.killed is not StopReason.PROTOCOL:
            self._failures.breach(worker, event.detail, turn)

    def _on_item_overdue(self, event: events.ItemOverdue, turn: Turn) -> None:
        worker = self._roster.worker(event.worker)
        if worker.live and not worker.stopping and not worker.closing:
            worker.item, worker.among, plan = event.item, event.among, worker.job.plan
            text = overdue(event.item, event.among, plan.timeouts.item_s)
            if _outlives_its_items(plan):
                if self._lives.may_be_replaced(worker, turn.now):
                    self._stopper.kill(worker, StopReason.ITEM_TIMEOUT, turn)
                    return
                text += self._lives.used_up(worker)
            self._failures.time_out(worker, StopReason.ITEM_TIMEOUT, text, turn)

    def _on_unstoppable(self, event: events.Unstoppable, turn: Turn) -> None:
        worker = self._roster.worker(event.worker)
        if worker.live and not worker.gone:
            self._stopper.abandon(worker, turn, refused=True)
            self._lives.end(worker, Blame(), turn)

    def _on_item_failed(self, event: events.ItemFailed, turn: Turn) -> None:
        worker = self._roster.worker(event.worker)
        if worker.item == event.item and (worker.resting or worker.state in ENDED):
            if worker.resting:  # the broker has added to how it died why that is its item's end
                death, said = worker.death, event.failure.message
                more = said.removeprefix(death) if said.startswith(death) else ""
                self._lives.not_replaced(worker, turn, more)
            return  # it died of this item, which is told with its end
        turn.report(
            facts.ItemFailed(
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
        self._failures.fail(worker, reason, turn, failure=event.failure)
        if worker.resting:
            self._lives.not_replaced(worker, turn)

    def _on_put_refused(self, event: events.PutRefused, turn: Turn) -> None:
        worker = self._roster.worker(event.worker)
        if worker.stopping:
            return
        self._failures.fail(worker, failed(event.failure), turn, failure=event.failure)
        if worker.resting:
            self._lives.not_replaced(worker, turn)

    def _on_input_ended(self, event: events.InputEnded, turn: Turn) -> None:
        job = self._roster.job(event.job)
        if not job.input_ended:
            job.input_ended, job.input_ended_at = True, turn.now
            for worker in job.live_workers():
                self._halt.limit_join(worker, turn)

    def _on_stalled(self, event: events.Stalled, turn: Turn) -> None:
        waiting = (*event.waits, *self._scheduler.waits())
        turn.report(facts.Stalled(waits=waiting))
        waits = ", ".join(f"{who} waits for {what}" for who, what in waiting)
        self._failures.note(ExitCode.FAILED, f"the run stalled: {waits}")
        self._halt.raise_to(Level.STOP, StopReason.STALLED, "the run stalled", turn)
        self._halt.stop_all(StopReason.STALLED, turn)

    def _on_ticked(self, _: events.Ticked, turn: Turn) -> None:
        while due := self._deadlines.pop_due(turn.now):
            owner, timer = due
            if timer is Timer.PLAN:
                text = f"the run took longer than {_limit(self._plan.timeout_s)} (timeout)"
                self._failures.note(ExitCode.TIMEOUT, text)
                self._halt.raise_to(Level.TERMINATE, StopReason.PLAN_TIMEOUT, text, turn)
                continue
            self._expire(self._roster.worker(owner), timer, turn)
            if timer is Timer.HOLD:
                return  # what the broker says to this death comes before a new process: tick again

    def _expire(self, worker: Worker, timer: Timer, turn: Turn) -> None:
        """One of the worker's deadlines has come."""
        plan = worker.job.plan
        if timer is Timer.START:
            self._stopper.kill(worker, StopReason.START_TIMEOUT, turn)
            text = f"was not ready within {_limit(plan.timeouts.start_s)} (timeouts.start)"
            self._failures.fail(worker, text, turn)
        elif timer is Timer.RUN:
            text = f"ran longer than {_limit(plan.timeouts.run_s)} (timeouts.run)"
            self._failures.time_out(worker, StopReason.RUN_TIMEOUT, text, turn)
        elif timer is Timer.JOIN:
            self._expire_join(worker, turn)
        elif timer is Timer.LINGER:
            self._stopper.hurry(worker, turn)
        elif timer is Timer.REST:
            self._lives.rested(worker, turn)
        elif timer is Timer.HOLD:
            self._lives.held(worker, turn)
        elif timer is Timer.GRACE:
            self._stopper.kill(worker, StopReason.GRACE_OVER, turn)
        else:
            self._stopper.abandon(worker, turn)
            self._lives.end(worker, Blame(), turn)

    def _expire_join(self, worker: Worker, turn: Turn) -> None:
        """A daemon that was dismissed fails only if it leaves items behind."""
        job, limit = worker.job, _limit(self._halt.join_s(worker.job))
        if job.dismissed and job.input_ended:
            self._stopper.stop(worker, StopReason.NOT_NEEDED, turn)
            return
        end = "its input" if job.input_ended else "all other jobs, and its input is not empty"
        text = f"did not return within {limit} of the end of {end} (join)"
        self._failures.time_out(worker, StopReason.JOIN_TIMEOUT, text, turn)

    def _wind_up(self, turn: Turn) -> None:
        """Dismiss the daemons when they are alone; finish when everybody has ended."""
        if not self._dismissed and self._roster.only_daemons():
            self._dismissed = True
            self._halt.dismiss_daemons(turn)
        if self._roster.ended():
            self._outcome = self._failures.outcome()
            self._deadlines.clear()
            turn.order(Finish())


def _outlives_its_items(plan: JobPlan) -> bool:
    """Whether an item may fail without failing its job."""
    return plan.retry.attempts > 1 or plan.on_error.otherwise is not ErrorAction.FAIL


def _limit(seconds: float | None) -> str:
    return "its limit" if seconds is None else f"{seconds:g} s"
