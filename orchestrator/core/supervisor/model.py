"""The model of a run: its jobs and workers, their waits for each other, and effects of a call."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec

from orchestrator.core.protocol.commands import AT_WORK, Command, Notify, StopReason
from orchestrator.core.protocol.events import Blame, BrokerNews, Orphaned
from orchestrator.core.protocol.messages import Closing, Failure, Worn
from orchestrator.core.protocol.notifications import Notification, WaitingFor
from orchestrator.core.reasons import (
    at_item,
    death,
    failed,
    named,
    orphaned,
    overdue,
    stopped,
    stopped_by_stranger,
)
from orchestrator.core.supervisor.policy import is_stop_signal
from orchestrator.core.supervisor.transitions import (
    ACTIVE,
    ENDED,
    JOB_TABLE,
    WORKER_TABLE,
    IllegalEvent,
    State,
    Step,
    end_step,
    next_state,
    worst,
)
from orchestrator.plan.model import AfterCondition, JobPlan, Plan

__all__ = ["Effects", "Job", "JobView", "RunModel", "Worker", "WorkerView"]


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, for display and summary. `exit_code` is negative for a signal."""

    job: str
    state: State
    pid: int | None
    exit_code: int | None
    reason: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One job, for display and summary. `pids` are those of its live workers.

    `restarts` counts the processes that took a dead one's place, `recycled` those that took a worn
    one's, `orphaned` those that took the place of one lost with what it depends on.
    """

    state: State
    pids: tuple[int, ...]
    exit_codes: tuple[int | None, ...]
    reason: str
    restarts: int
    recycled: int
    orphaned: int


@dataclass(slots=True, kw_only=True, eq=False)
class Worker:
    """One worker. `verdict` is its final state where that is known before its death.

    `restarting`: its process has died, and a new one will be started, unless it is stopped before.
    `held`: its process has died by a stop signal that mporch did not send; what that costs (the
    blame) is kept back until it is clear whether the run itself is being stopped.
    `hurried`: its process has had the stop signal, since it did not exit after its last message.
    `unwanted`: why no other process is to follow one that was left to exit by itself.
    `item` is the first of the `among` items that it was at: of a batch.
    `breach`: what was wrong with what it said, if that is why it was killed.
    `called`: its target may have been called. `unmade`: why it has no process at all.
    `failed_starts` counts the processes in a row that have died before they had finished an item.
    """

    name: str
    index: int
    job: Job
    state: State = State.PENDING
    pid: int | None = None
    since_s: float = 0.0
    ready: bool = False
    closing: Closing | None = None
    stop: StopReason | None = None
    killed: StopReason | None = None
    abandoned: bool = False
    verdict: State | None = None
    exit_code: int | None = None
    reason: str = ""
    item: str = ""
    item_name: str = ""
    among: int = 1
    failure: Failure | None = None
    crash: Failure | None = None
    breach: str = ""
    orphaned: Orphaned | None = None
    restarting: bool = False
    held: Blame | None = None
    hurried: bool = False
    unwanted: StopReason | None = None
    called: bool = False
    unmade: Failure | None = None
    failed_starts: int = 0

    @property
    def live(self) -> bool:
        """True if its process exists or is being made."""
        return self.state in ACTIVE

    @property
    def gone(self) -> bool:
        """True if its process is dead, though it may be given another."""
        return self.restarting or self.held is not None

    @property
    def stopping(self) -> bool:
        """True if it was asked to stop, or killed, or is not wanted any more."""
        asked = self.stop or self.unwanted
        return asked is not None or (self.killed is not None and not self.restarting)

    @property
    def recycled(self) -> bool:
        """True if its last message has asked for a new process in its place."""
        return self.worn is not None

    @property
    def worn(self) -> Worn | None:
        """Return why its last message has asked for that; None if it has not."""
        return self.closing.recycled if self.closing is not None else None

    @property
    def has_returned(self) -> bool:
        """True if its last message has said that its target has come to its end.

        One that is recycled has not: there may be more of its input.
        """
        closing = self.closing
        return closing is not None and not (closing.failure or closing.stopped or closing.recycled)

    @property
    def was_told_to_stop(self) -> bool:
        """True if a stop signal that mporch did not send has ended its process, or come before."""
        if self.verdict or self.killed or self.is_ours:
            return False
        if self.closing is not None:
            return self.closing.stopped or self.closing.signalled
        code = self.exit_code
        return code is not None and is_stop_signal(-code, self.job.plan.terminate)

    @property
    def ended_well(self) -> bool:
        """True if it has succeeded, or was a daemon that nobody needed any more."""
        unneeded = StopReason.NOT_NEEDED in (self.stop, self.unwanted)
        return self.state is State.SUCCEEDED or unneeded

    @property
    def is_ours(self) -> bool:
        """True if its death is our doing, and not that of the item it was at."""
        asked = self.stop or self.unwanted
        return asked is not None or self.killed not in (None, *AT_WORK)

    def advance(self, step: Step) -> None:
        """Take one step of its life. Raises IllegalEvent, and changes nothing, if it cannot."""
        self.state = next_state(WORKER_TABLE, self.state, step, who=f"worker {self.name}")
        if self.state is State.DRAINING or self.state in ENDED:
            self.job.leaves_work(self)

    def set_verdict(self, verdict: State, reason: str, failure: Failure | None = None) -> None:
        """Decide how a worker that lives will have ended; an earlier failure stands."""
        if self.live and self.verdict in (None, State.SUCCEEDED):
            self.verdict, self.reason, self.failure = verdict, reason, failure

    def conclude(self) -> None:
        """Its process is gone: take the step to its final state."""
        if self.verdict is None and self.is_ours:
            self._conclude_stopped()
        elif self.verdict is None and self.has_returned:
            self.verdict = State.SUCCEEDED  # its item was done, if late, and all the others were
        elif self.verdict is None:
            self.die()
        if self.verdict is not State.FAILED:
            self.advance(Step.DRAIN)
        self.advance(end_step(self.verdict or State.FAILED))
        self.restarting = False

    def die(self, more: str = "") -> None:
        """It has died of itself or of its item: that is its end."""
        late = self.killed is StopReason.ITEM_TIMEOUT
        self.set_verdict(
            State.TIMED_OUT if late else State.FAILED, f"{self.named(self.death)}{more}", self.crash
        )

    def _conclude_stopped(self) -> None:
        cause = self.stop or self.unwanted or self.killed
        assert cause is not None
        if self.restarting:
            self.verdict = State.TERMINATED
            before = "" if self.recycled else f"; its process had died before: {self.death}"
            self.reason = f"{stopped(cause)}{before}"
        else:
            self.verdict = State.KILLED if self.killed else State.TERMINATED
            self.reason = stopped(cause)

    def named(self, text: str) -> str:
        """Return a text that tells its item by the number, with the item's name beside it."""
        return named(text, self.item, self.item_name)

    @property
    def death(self) -> str:
        """Return how its process has died, in words."""
        if self.unmade is not None:
            return f"its process could not be made: {failed(self.unmade)}"
        if self.orphaned:
            return orphaned(self.orphaned, self.crash)
        if self.killed is StopReason.ITEM_TIMEOUT:
            late = overdue(self.item, self.among, self.job.plan.timeouts.item_s)
            return f"killed: {late}"
        at = at_item(self.item, self.among)
        if self.breach:
            return f"broke the protocol{at}: {self.breach}"
        if self.closing is not None and self.closing.stopped:
            return stopped_by_stranger(self.job.plan.terminate.signal, at)
        where = (self.crash and self.crash.where) or str(self.job.plan.target)
        return death(self.exit_code, at, where)

    def await_restart(self) -> None:
        """Its process is gone, and another will take its place."""
        self.advance(Step.RESTART)
        self.restarting, self.ready = True, False
        self.verdict = self.stop = None
        self.job.goes_on(self)

    def renew(self) -> None:
        """Forget the old process: a new one is about to be started."""
        self.pid = self.killed = self.exit_code = self.crash = self.closing = self.unmade = None
        self.restarting = self.hurried = self.called = False
        self.orphaned = None
        self.item, self.item_name, self.among, self.breach = "", "", 1, ""

    def view(self) -> WorkerView:
        """Return what others may see of it."""
        return WorkerView(
            job=self.job.name,
            state=self.state,
            pid=self.pid,
            exit_code=self.exit_code,
            reason=self.reason,
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One job. `busy` names its workers that do not drain yet, `unready` those never ready yet.

    `outstanding` are its `after` conditions that have not come true yet. `replaced` are the times
    at which its last workers have died whose place others took. `cut`: a worker of it was stopped
    before its target had come to its end, as the readers of what it gives have failed.
    `dismissed`: it is a daemon, and all other jobs are done.
    """

    plan: JobPlan
    tally: Counter[tuple[bool, State]]
    state: State = State.PENDING
    workers: tuple[Worker, ...] = ()
    busy: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    living: int = 0
    outstanding: set[tuple[str, AfterCondition]] = field(default_factory=set)
    input_ended: bool = False
    input_ended_at: float | None = None
    failing: bool = False
    cut: bool = False
    dismissed: bool = False
    replaced: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """When its workers were orphaned of late; those of the same loss once."""
    restarts: int = 0
    recycled: int = 0
    orphaned: int = 0
    clean: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        """Make its workers, and count itself."""
        self.workers = tuple(
            Worker(name=f"{self.plan.name}-{n}", index=n, job=self)
            for n in range(1, self.plan.workers + 1)
        )
        self.busy = {worker.name for worker in self.workers}
        self.unready = set(self.busy)
        self.living = len(self.workers)
        self.outstanding = set(self.plan.after)
        self.tally[self.plan.daemon, self.state] += 1

    @property
    def name(self) -> str:
        """Its name in the spec."""
        return self.plan.name

    def advance(self, step: Step) -> None:
        """Take one step of its life. Raises IllegalEvent, and changes nothing, if it cannot."""
        state = next_state(JOB_TABLE, self.state, step, who=f"job {self.name}")
        self.tally[self.plan.daemon, self.state] -= 1
        self.tally[self.plan.daemon, state] += 1
        self.state = state

    def restore(self) -> None:
        """It had succeeded before the run was resumed."""
        self.advance(Step.RESTORE)
        for worker in self.workers:
            worker.advance(Step.RESTORE)
            worker.exit_code = 0
        self.clean, self.living = True, 0
        self.reason = "had succeeded before the run was resumed"

    def view(self) -> JobView:
        """Return what others may see of it."""
        return JobView(
            state=self.state,
            pids=tuple(worker.pid for worker in self.live_workers() if worker.pid is not None),
            exit_codes=tuple(worker.exit_code for worker in self.workers),
            reason=self.reason,
            restarts=self.restarts,
            recycled=self.recycled,
            orphaned=self.orphaned,
        )

    def leaves_work(self, worker: Worker) -> None:
        """Note that a worker drains or has ended; with the last one, the job drains."""
        self.busy.discard(worker.name)
        if not self.busy and self.state in (State.STARTING, State.READY):
            self.advance(Step.DRAIN)

    def goes_on(self, worker: Worker) -> None:
        """Note that a worker that was draining, or has died, will be at work again."""
        self.busy.add(worker.name)
        if self.state is State.DRAINING and not self.input_ended:
            self.advance(Step.RESTART)

    def live_workers(self) -> list[Worker]:
        """Return its workers whose processes exist or are being made."""
        return [worker for worker in self.workers if worker.live]

    def end(self) -> None:
        """Its last worker has ended: take the step to the final state, the gravest of theirs."""
        state = worst(worker.state for worker in self.workers)
        if self.failing and state is not State.TIMED_OUT:
            state = State.FAILED
        self.advance(end_step(state))
        self.clean = not self.failing and all(worker.ended_well for worker in self.workers)
        if not self.reason:
            self.reason = next(w.reason for w in self.workers if w.state is state)


class RunModel:
    """All jobs and workers of a plan, in spec order, and how many jobs are in which state."""

    def __init__(self, plan: Plan) -> None:
        self.tally: Counter[tuple[bool, State]] = Counter()
        self.jobs = {name: Job(plan=job, tally=self.tally) for name, job in plan.jobs.items()}
        self.workers = {w.name: w for job in self.jobs.values() for w in job.workers}
        self.dependents: dict[str, list[tuple[Job, AfterCondition]]] = defaultdict(list)
        self._readers: dict[str, list[Job]] = defaultdict(list)
        self._writers: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs.values():
            for queue in job.plan.reads:
                self._readers[queue].append(job)
            for queue in job.plan.writes:
                self._writers[queue].append(job)
            for parent, condition in job.plan.after:
                self.dependents[parent].append((job, condition))

    def job(self, name: str) -> Job:
        """Return the job of that name. Raises IllegalEvent if the plan has none."""
        try:
            return self.jobs[name]
        except KeyError:
            raise IllegalEvent(f"the plan has no job {name}") from None

    def worker(self, name: str) -> Worker:
        """Return the worker of that name. Raises IllegalEvent if the plan has none."""
        try:
            return self.workers[name]
        except KeyError:
            raise IllegalEvent(f"the plan has no worker {name}") from None

    def jobs_in(self, *states: State) -> list[Job]:
        """Return the jobs that are in one of these states."""
        return [job for job in self.jobs.values() if job.state in states]

    def feeders(self, job: Job) -> list[Job]:
        """Return the jobs that give what the job reads."""
        return [writer for queue in job.plan.reads for writer in self._writers[queue]]

    def missed_by(self, job: Job) -> list[str]:
        """Return who was skipped, so that nobody will read what the job gives.

        Empty if somebody will read any of it, or if it gives nothing.
        """
        missed: dict[str, None] = {}
        for queue in job.plan.writes:
            readers = self._readers[queue]
            skipped = [reader.name for reader in readers if reader.state is State.SKIPPED]
            if not skipped or any(reader.state not in ENDED for reader in readers):
                return []
            missed |= dict.fromkeys(skipped)
        return list(missed)

    def live_workers(self) -> list[Worker]:
        """Return the workers whose processes exist or are being made."""
        return [worker for worker in self.workers.values() if worker.live]

    def ended(self) -> bool:
        """True if every job has ended."""
        return not any(n for (_, state), n in self.tally.items() if state not in ENDED)

    def others_done(self) -> bool:
        """True if every job that is no daemon has ended."""
        return not any(
            n for (daemon, state), n in self.tally.items() if not daemon and state not in ENDED
        )

    def only_daemons(self) -> bool:
        """True if, between two events, nobody but daemon jobs can do anything.

        A job that waits for a daemon's readiness still can; one that waits for its end cannot. So
        can a daemon that waits, and reads: what is queued for it is to be read.
        """
        count = self.tally
        if any(count[False, state] for state in ACTIVE):
            return False
        if not count[True, State.STARTING]:
            return True
        waiting = self.jobs_in(State.PENDING)
        return all(job.plan.daemon and not job.plan.reads for job in waiting)


@dataclass(slots=True, eq=False)
class Effects:
    """Commands and news of one call of the supervisor, in order; `now` is monotonic, in seconds."""

    now: float
    orders: list[Command | BrokerNews] = field(default_factory=list)
    _awaited: dict[str, dict[str, float]] = field(default_factory=dict)

    def order(self, *orders: Command | BrokerNews) -> None:
        """Add commands or news."""
        self.orders.extend(orders)

    def report(self, notification: Notification) -> None:
        """Add a fact for the observer."""
        self.orders.append(Notify(notification=notification))

    def await_end(self, worker: Worker, step: str, timeout_s: float) -> None:
        """Note that the run waits for a worker; told once a step, by `close`."""
        self._awaited.setdefault(step, {})[worker.name] = timeout_s

    def close(self) -> list[Command | BrokerNews]:
        """Tell who is being waited for, and return everything."""
        for step, workers in self._awaited.items():
            self.report(
                WaitingFor(workers=tuple(workers), timeout_s=max(workers.values()), step=step)
            )
        return self.orders
