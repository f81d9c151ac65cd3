"""Whatever the plan and however its workers behave, a run ends, in order and in bounded time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from fake_run import ERROR, job, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.commands import (
    Disconnect,
    Finish,
    KillWorker,
    Notify,
    SignalWorker,
    StartWorker,
    StopReason,
)
from orchestrator.core.protocol.events import (
    Began,
    Blame,
    InputEnded,
    Interrupted,
    ItemFatal,
    ItemOverdue,
    JobFinished,
    Malformed,
    Phase,
    ProcessStarted,
    Received,
    StallDetected,
    StartFailed,
    Terminated,
    Ticked,
    WorkerDied,
    WorkerJoined,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import Closing, Ready
from orchestrator.core.supervisor.supervisor import Supervisor
from orchestrator.core.supervisor.transitions import ENDED, State
from orchestrator.plan.model import (
    AfterCondition,
    FailurePolicy,
    Plan,
    RestartPlan,
    RetryPlan,
    Shape,
    TerminatePlan,
    TimeoutsPlan,
)

LAST_RESORT_S = 200.0
"""When SIGTERM reaches the run, if it still runs: some of the workers would run for ever."""

SLOWEST_END_S = 30.0
"""The longest grace twice, and the time after which a killed process is given up, and some."""

UNSIGNALLED = {
    StopReason.START_TIMEOUT,
    StopReason.PROTOCOL,
    StopReason.INTERRUPTED,
    StopReason.ITEM_TIMEOUT,
}

IN_ITEM = Blame(lease=1, phase=Phase.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What one process of a worker does; None is never.

    `last`: the item at which it dies, if it does, has no attempt left and fails its job.
    """

    start_s: float | None
    ready_s: float | None
    work_s: float | None
    ends: str
    exit_s: float | None
    on_signal: str
    dies_of_sigkill: bool
    fruitful: bool = False
    last: bool = False


seconds = st.sampled_from([0.0, 0.1, 1.0, 4.0, 20.0])
behaviours = st.builds(
    Behaviour,
    start_s=st.sampled_from([0.0, 0.0, 0.5, None]),
    ready_s=st.sampled_from([0.0, 0.1, 1.0, 8.0, None]),
    work_s=seconds | st.none(),
    ends=st.sampled_from(
        ["close"] * 4 + ["raise", "die", "crash", "crash", "item failed", "garbage", "item overdue"]
    ),
    exit_s=st.sampled_from([0.0, 0.0, 3.0, None]),
    on_signal=st.sampled_from(["die", "close", "raise", "ignore"]),
    dies_of_sigkill=st.sampled_from([True, True, True, False]),
    fruitful=st.booleans(),
    last=st.sampled_from([False, False, True]),
)
outside = st.tuples(
    seconds,
    st.sampled_from(["interrupt", "interrupt", "SIGTERM", "SIGHUP", "stall", "input ended"]),
)


lives = st.fixed_dictionaries(
    {
        "restart": st.builds(
            RestartPlan,
            max=st.sampled_from([0, 1, 3, 50]),
            within_s=st.sampled_from([0.5, 10.0, 60.0]),
        ),
        "retry": st.builds(RetryPlan, attempts=st.sampled_from([1, 3])),
    }
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to six jobs, each after some of the earlier ones."""
    jobs = []
    for n in range(draw(st.integers(1, 6))):
        earlier = draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True)) if n else []
        shape = draw(st.sampled_from([Shape.TASK, Shape.SOURCE, Shape.ITEM]))
        jobs.append(
            job(
                f"j{n}",
                after=[(f"j{i}", draw(st.sampled_from(AfterCondition))) for i in earlier],
                shape=shape,
                inputs=("q",) if shape is Shape.ITEM else (),
                outputs=("q",) if shape is Shape.SOURCE else (),
                workers=draw(st.integers(1, 2)),
                timeouts=TimeoutsPlan(
                    start_s=5.0, run_s=draw(st.sampled_from([None, 2.0, 10.0])), item_s=1.0
                ),
                join_s=draw(st.sampled_from([None, 3.0])),
                terminate=TerminatePlan(signal=15, grace_s=draw(st.sampled_from([0.0, 1.0, 10.0]))),
                on_failure=draw(st.sampled_from(FailurePolicy)),
                daemon=draw(st.integers(0, 4)) == 0,
                **draw(lives) if shape is Shape.ITEM else {},
            )
        )
    return plan(*jobs, timeout_s=draw(st.sampled_from([None, None, 6.0])))


@st.composite
def resumed(draw: st.DrawFn) -> tuple[Plan, list[str]]:
    """A plan, and which of its jobs had succeeded before the run was resumed."""
    plan = draw(plans())
    able = [name for name, job in plan.jobs.items() if not job.daemon]
    return plan, [name for name in able if draw(st.integers(0, 3)) == 0]


class Life:
    """One process of a worker, as its world knows it."""

    def __init__(self, way: Behaviour) -> None:
        self.way = way
        self.said: list[str] = []
        self.blows: list[object] = []
        self.is_made = False
        """Its process was there: a start that is ordered may be given up before."""
        self.dead = False
        self.left = False


class World:
    """Plays the processes of a run; checks each order as it comes."""

    def __init__(
        self,
        plan: Plan,
        ways: list[Behaviour],
        events: list[tuple[float, str]],
        done: Iterable[str] = (),
    ) -> None:
        self.plan = plan
        self.supervisor = Supervisor(plan, done=done)
        self.ways = ways
        self.now = 0.0
        self.lives: dict[str, list[Life]] = {}
        self.deaths: dict[str, list[float]] = {}
        self.job_ends: list[str] = []
        self.stops: list[str] = []
        self.interrupts = 0
        self.appearing: str | None = None
        self.closed_to_starts = False
        self.finished = False
        self._agenda: list[tuple[float, int, object]] = []
        self._numbers = count()
        for after_s, what in [*events, (LAST_RESORT_S, "SIGTERM")]:
            self.at(after_s, lambda what=what: self.from_outside(what))

    def at(self, after_s, action):
        heapq.heappush(self._agenda, (self.now + after_s, next(self._numbers), action))

    def run(self):
        """Let it all happen; returns how many steps it took."""
        self.tell(Began())
        for step in range(20_000):
            due = self.supervisor.next_deadline()
            if self._agenda and (due is None or self._agenda[0][0] <= due):
                self.now, _, action = heapq.heappop(self._agenda)
                action()
            elif due is not None:
                self.now = max(self.now, due)
                self.tell(Ticked())
            if self.finished:
                return step
        raise AssertionError("the run does not end")

    def tell(self, event):
        for order in self.supervisor.handle(event, self.now):
            assert not self.finished, "an order after Finish"
            self.obey(order)

    def obey(self, order):
        match order:
            case WorkerJoined(worker=worker):
                self.join(worker)
            case StartWorker(worker=worker):
                assert not self.closed_to_starts
                assert not (self.stops and self.gives_in_vain(worker))
                life = self.lives[worker][-1]
                self.at(0.0, lambda: self.make(worker, life))
            case SignalWorker(worker=worker, reason=reason):
                life = self.lives[worker][-1]
                assert not life.dead
                assert life.blows == [], "signalled twice, or after SIGKILL"
                life.blows.append(reason)
                self.on_signal(worker, life)
            case KillWorker(worker=worker, reason=reason):
                self.kill(worker, self.lives[worker][-1], reason)
            case Disconnect(worker=worker):
                assert self.lives[worker]
            case WorkerLeft(worker=worker, blame=blame):
                life = self.lives[worker][-1]
                assert not life.left
                life.left = True
                if blame.phase is Phase.RUNNING and life.way.last:
                    self.at(0.0, lambda: self.fail_item(worker))
            case JobFinished(job=name):
                assert name not in self.job_ends
                self.job_ends.append(name)
            case Notify(notification=notifications.RunStopping(how=how)):
                self.stops.append(how)
            case Finish():
                self.finished = True

    def gives_in_vain(self, worker):
        """Whether the worker's job writes, and all that were to read it were skipped."""
        states, jobs = self.supervisor.job_states, self.plan.jobs
        writes = set(jobs[worker.rpartition("-")[0]].writes)
        readers = [name for name, job in jobs.items() if writes.intersection(job.reads)]
        return bool(readers) and all(states[name].state is State.SKIPPED for name in readers)

    def join(self, worker):
        """A process may follow one that is gone, by the job's `restart`."""
        lives = self.lives.setdefault(worker, [])
        job = worker.rpartition("-")[0]
        if lives:
            restart = self.plan.jobs[job].restart
            assert lives[-1].left
            assert lives[-1].dead
            assert job not in self.job_ends
            deaths = [when for when in self.deaths[job] if when > self.now - restart.within_s]
            assert len(deaths) <= restart.max
        at = list(self.supervisor.worker_states).index(worker) + len(lives)
        lives.append(Life(self.ways[at % len(self.ways)]))

    def kill(self, worker, life, reason):
        assert life.blows or worker == self.appearing or reason in UNSIGNALLED, "without a signal"
        assert reason is not StopReason.INTERRUPTED or self.interrupts >= 3
        assert KillWorker not in life.blows
        life.blows.append(KillWorker)
        if life.way.dies_of_sigkill:
            self.at(0.1, lambda: self.die(worker, life, -9))

    def make(self, worker, life):
        if life.way.start_s is None:
            life.dead = True
            self.deaths.setdefault(worker.rpartition("-")[0], []).append(self.now)
            self.tell(StartFailed(worker=worker, failure=ERROR))
            return
        life.is_made = True
        self.appearing = worker
        self.tell(ProcessStarted(worker=worker, pid=1))
        self.appearing = None
        if life.way.ready_s is not None:
            self.at(life.way.ready_s, lambda: self.ready(worker, life))

    def ready(self, worker, life):
        self.say(worker, life, Ready())
        if life.way.work_s is not None:
            self.at(life.way.work_s, lambda: self.end(worker, life, life.way.ends))

    def say(self, worker, life, message):
        """Messages arrive while the process lives, and none after the last."""
        if not life.dead and "Closing" not in life.said:
            life.said.append(type(message).__name__)
            self.tell(Received(worker=worker, message=message))

    def end(self, worker, life, how):
        if life.dead or "Closing" in life.said:
            return
        if how in ("close", "raise"):
            self.say(worker, life, Closing(failure=ERROR if how == "raise" else None))
            if life.way.exit_s is not None:
                self.at(life.way.exit_s, lambda: self.die(worker, life, 0))
        elif how in ("die", "crash"):
            self.die(worker, life, 0 if how == "die" else -11)
        elif how == "garbage":
            self.tell(Malformed(worker=worker, detail="CRC differs"))
        elif how == "item failed":
            self.fail_item(worker)
        else:
            self.tell(ItemOverdue(worker=worker, item="q:1"))

    def fail_item(self, worker):
        self.tell(ItemFatal(worker=worker, queue="q", item="q:1", failure=ERROR))

    def on_signal(self, worker, life):
        if life.way.on_signal == "die":
            self.at(0.0, lambda: self.die(worker, life, -15))
        elif life.way.on_signal in ("close", "raise"):
            self.at(0.1, lambda: self.end(worker, life, life.way.on_signal))

    def die(self, worker, life, exit_code):
        """Unless it closes, a process dies at an item, as far as one can see."""
        if life.dead:
            return
        life.dead = True
        blame = Blame() if "Closing" in life.said else IN_ITEM
        if blame.phase:
            self.deaths.setdefault(worker.rpartition("-")[0], []).append(self.now)
        self.tell(
            WorkerDied(
                worker=worker,
                exit_code=exit_code,
                blame=blame,
                item="q:1" if blame.phase else "",
                made_progress=life.way.fruitful,
            )
        )

    def from_outside(self, what):
        """Two interrupts, or a termination, and nothing starts any more."""
        if what == "interrupt":
            self.interrupts += 1
            self.closed_to_starts |= self.interrupts > 1
            self.tell(Interrupted())
        elif what == "stall":
            self.tell(StallDetected(waits=(("j0-1", "items of q"),)))
        elif what == "input ended":
            for name in self.plan.jobs:
                self.tell(InputEnded(job=name))
        else:
            self.closed_to_starts = True
            self.tell(Terminated(signal=15 if what == "SIGTERM" else 1))


@settings(max_examples=300)
@given(resumed(), st.lists(behaviours, min_size=1, max_size=8), st.lists(outside, max_size=4))
def test_every_run_ends_in_order_and_in_bounded_time(run, ways, events):
    plan, done = run
    world = World(plan, ways, events, done)
    world.run()
    supervisor = world.supervisor
    assert world.now <= LAST_RESORT_S + SLOWEST_END_S
    assert supervisor.next_deadline() is None
    assert {view.state for view in supervisor.job_states.values()} <= ENDED
    assert {view.state for view in supervisor.worker_states.values()} <= ENDED
    lives = [life for lives in world.lives.values() for life in lives]
    assert all(life.left for life in lives)
    assert sorted([*done, *world.job_ends]) == sorted(plan.jobs)
    made = [life for life in lives if life.is_made]
    assert all(life.dead or not life.way.dies_of_sigkill for life in made)
    order = ["drain", "stop", "terminate", "kill"]
    assert world.stops == sorted(world.stops, key=order.index)
    assert supervisor.outcome is not None
    bad = {"failed", "timed_out"} & {v.state.value for v in supervisor.job_states.values()}
    assert not bad or supervisor.outcome.exit_code


@settings(max_examples=200)
@given(resumed(), st.lists(seconds, max_size=2))
def test_a_run_of_good_workers_succeeds_and_kills_nobody(run, times):
    plan, done = run
    good = Behaviour(
        start_s=0.0,
        ready_s=0.0,
        work_s=0.1,
        ends="close",
        exit_s=0.0,
        on_signal="die",
        dies_of_sigkill=True,
    )
    world = World(plan, [good], [(when, "input ended") for when in times], done)
    world.run()
    assert world.supervisor.outcome.exit_code == 0
    assert not any(KillWorker in life.blows for lives in world.lives.values() for life in lives)
    assert all(len(lives) == 1 for lives in world.lives.values())
