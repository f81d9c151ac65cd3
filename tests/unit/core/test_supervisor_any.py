"""Whatever the plan and however its workers behave, a run ends, in order and in bounded time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count

from fake_run import ERROR, job, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import facts
from orchestrator.core.commands import (
    Disconnect,
    Finish,
    KillWorker,
    Report,
    SignalWorker,
    StartWorker,
    StopReason,
)
from orchestrator.core.events import (
    Began,
    InputEnded,
    Interrupted,
    ItemFailed,
    ItemOverdue,
    JobFinished,
    Malformed,
    Received,
    Stalled,
    StartFailed,
    Terminated,
    Ticked,
    WorkerDied,
    WorkerJoined,
    WorkerLeft,
    WorkerStarted,
)
from orchestrator.core.lifecycle import ENDED
from orchestrator.core.messages import Closing, Ready
from orchestrator.core.supervisor import Supervisor
from orchestrator.plan.model import (
    AfterCondition,
    FailurePolicy,
    Plan,
    Shape,
    Terminate,
    Timeouts,
)

LAST_RESORT_S = 200.0
"""When SIGTERM reaches the run, if it still runs: some of the workers would run for ever."""

SLOWEST_END_S = 30.0
"""The longest grace twice, and the time after which a killed process is given up, and some."""

UNSIGNALLED = {StopReason.START_TIMEOUT, StopReason.PROTOCOL, StopReason.INTERRUPTED}


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a worker's process does; None is never."""

    start_s: float | None
    ready_s: float | None
    work_s: float | None
    ends: str
    exit_s: float | None
    on_signal: str
    dies_of_sigkill: bool


seconds = st.sampled_from([0.0, 0.1, 1.0, 4.0, 20.0])
behaviours = st.builds(
    Behaviour,
    start_s=st.sampled_from([0.0, 0.0, 0.5, None]),
    ready_s=st.sampled_from([0.0, 0.1, 1.0, 8.0, None]),
    work_s=seconds | st.none(),
    ends=st.sampled_from(
        ["close"] * 4 + ["raise", "die", "crash", "item failed", "garbage", "item overdue"]
    ),
    exit_s=st.sampled_from([0.0, 0.0, 3.0, None]),
    on_signal=st.sampled_from(["die", "close", "raise", "ignore"]),
    dies_of_sigkill=st.sampled_from([True, True, True, False]),
)
outside = st.tuples(
    seconds,
    st.sampled_from(["interrupt", "interrupt", "SIGTERM", "SIGHUP", "stall", "input ended"]),
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
                timeouts=Timeouts(
                    start_s=5.0, run_s=draw(st.sampled_from([None, 2.0, 10.0])), item_s=1.0
                ),
                join_s=draw(st.sampled_from([None, 3.0])),
                terminate=Terminate(signal=15, grace_s=draw(st.sampled_from([0.0, 1.0, 10.0]))),
                on_failure=draw(st.sampled_from(FailurePolicy)),
                daemon=draw(st.integers(0, 4)) == 0,
            )
        )
    return plan(*jobs, timeout_s=draw(st.sampled_from([None, None, 6.0])))


class World:
    """Plays the processes of a run; checks each order as it comes."""

    def __init__(self, plan: Plan, ways: list[Behaviour], events: list[tuple[float, str]]) -> None:
        self.plan = plan
        self.supervisor = Supervisor(plan)
        self.ways = ways
        self.now = 0.0
        self.started: list[str] = []
        self.spoken: dict[str, list[str]] = {}
        self.dead: set[str] = set()
        self.blows: dict[str, list[object]] = {}
        self.left: list[str] = []
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
        for step in range(5000):
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
                assert worker not in self.spoken
                self.spoken[worker] = []
            case StartWorker(worker=worker):
                assert worker in self.spoken
                assert worker not in self.started
                assert not self.closed_to_starts
                self.started.append(worker)
                self.at(0.0, lambda: self.make(worker))
            case SignalWorker(worker=worker, reason=reason):
                assert worker not in self.dead
                assert self.blows.setdefault(worker, []) == [], "signalled twice, or after SIGKILL"
                self.blows[worker].append(reason)
                self.on_signal(worker)
            case KillWorker(worker=worker, reason=reason):
                before = self.blows.setdefault(worker, [])
                late = worker == self.appearing
                assert before or late or reason in UNSIGNALLED, "killed without a signal"
                assert reason is not StopReason.INTERRUPTED or self.interrupts >= 3
                assert KillWorker not in before
                before.append(KillWorker)
                if self.way(worker).dies_of_sigkill:
                    self.at(0.1, lambda: self.die(worker, -9))
            case Disconnect(worker=worker):
                assert worker in self.started
            case WorkerLeft(worker=worker):
                assert worker not in self.left
                self.left.append(worker)
            case JobFinished(job=name):
                assert name not in self.job_ends
                self.job_ends.append(name)
            case Report(fact=facts.StopRequested(how=how)):
                self.stops.append(how)
            case Finish():
                self.finished = True

    def way(self, worker):
        return self.ways[list(self.supervisor.worker_states).index(worker) % len(self.ways)]

    def make(self, worker):
        way = self.way(worker)
        if way.start_s is None:
            self.dead.add(worker)
            self.tell(StartFailed(worker=worker, failure=ERROR))
            return
        self.appearing = worker
        self.tell(WorkerStarted(worker=worker, pid=1))
        self.appearing = None
        if way.ready_s is not None:
            self.at(way.ready_s, lambda: self.ready(worker))

    def ready(self, worker):
        way = self.way(worker)
        self.say(worker, Ready())
        if way.work_s is not None:
            self.at(way.work_s, lambda: self.end(worker, way.ends))

    def say(self, worker, message):
        """Messages arrive while the process lives, and none after the last."""
        if worker not in self.dead and "Closing" not in self.spoken[worker]:
            self.spoken[worker].append(type(message).__name__)
            self.tell(Received(worker=worker, message=message))

    def end(self, worker, how):
        way = self.way(worker)
        if worker in self.dead or "Closing" in self.spoken[worker]:
            return
        if how in ("close", "raise"):
            self.say(worker, Closing(failure=ERROR if how == "raise" else None))
            if way.exit_s is not None:
                self.at(way.exit_s, lambda: self.die(worker, 0))
        elif how in ("die", "crash"):
            self.die(worker, 0 if how == "die" else -11)
        elif how == "garbage":
            self.tell(Malformed(worker=worker, detail="CRC differs"))
        elif how == "item failed":
            self.tell(ItemFailed(worker=worker, queue="q", item="q:1", failure=ERROR))
        else:
            self.tell(ItemOverdue(worker=worker, item="q:1"))

    def on_signal(self, worker):
        way = self.way(worker)
        if way.on_signal == "die":
            self.at(0.0, lambda: self.die(worker, -15))
        elif way.on_signal in ("close", "raise"):
            self.at(0.1, lambda: self.end(worker, way.on_signal))

    def die(self, worker, exit_code):
        if worker not in self.dead:
            self.dead.add(worker)
            self.tell(WorkerDied(worker=worker, exit_code=exit_code))

    def from_outside(self, what):
        """Two interrupts, or a termination, and nothing starts any more."""
        if what == "interrupt":
            self.interrupts += 1
            self.closed_to_starts |= self.interrupts > 1
            self.tell(Interrupted())
        elif what == "stall":
            self.tell(Stalled(waits=(("j0-1", "items of q"),)))
        elif what == "input ended":
            for name in self.plan.jobs:
                self.tell(InputEnded(job=name))
        else:
            self.closed_to_starts = True
            self.tell(Terminated(signal=15 if what == "SIGTERM" else 1))


@settings(max_examples=300, deadline=None)
@given(plans(), st.lists(behaviours, min_size=1, max_size=8), st.lists(outside, max_size=4))
def test_every_run_ends_in_order_and_in_bounded_time(plan, ways, events):
    world = World(plan, ways, events)
    world.run()
    supervisor = world.supervisor
    assert world.now <= LAST_RESORT_S + SLOWEST_END_S
    assert supervisor.next_deadline() is None
    assert {view.state for view in supervisor.job_states.values()} <= ENDED
    assert {view.state for view in supervisor.worker_states.values()} <= ENDED
    assert sorted(world.left) == sorted(world.started)
    assert sorted(world.job_ends) == sorted(plan.jobs)
    immortal = {worker for worker in world.started if not world.way(worker).dies_of_sigkill}
    assert set(world.started) <= world.dead | immortal
    order = ["drain", "terminate", "kill"]
    assert world.stops == sorted(world.stops, key=order.index)
    assert supervisor.outcome is not None
    bad = {"failed", "timed_out"} & {v.state.value for v in supervisor.job_states.values()}
    assert not bad or supervisor.outcome.exit_code


@settings(max_examples=100, deadline=None)
@given(plans(), st.lists(seconds, max_size=2))
def test_a_run_of_good_workers_succeeds_and_kills_nobody(plan, times):
    good = Behaviour(
        start_s=0.0,
        ready_s=0.0,
        work_s=0.1,
        ends="close",
        exit_s=0.0,
        on_signal="die",
        dies_of_sigkill=True,
    )
    world = World(plan, [good], [(when, "input ended") for when in times])
    world.run()
    assert world.supervisor.outcome.exit_code == 0
    assert not any(KillWorker in blows for blows in world.blows.values())
