"""A supervisor with a plan, a clock that stands until it is moved, and no process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from orchestrator.core.protocol.commands import (
    Command,
    Disconnect,
    Finish,
    KillWorker,
    Notify,
    SignalWorker,
    StartWorker,
)
from orchestrator.core.protocol.events import (
    Began,
    BrokerNews,
    Event,
    InputEnded,
    ItemFatal,
    JobFinished,
    ProcessStarted,
    PutRefused,
    Received,
    SupervisorNews,
    Ticked,
    WorkerDied,
)
from orchestrator.core.protocol.messages import Closing, Failure, Ready
from orchestrator.core.protocol.notifications import Notification
from orchestrator.core.supervisor.supervisor import Supervisor
from orchestrator.plan.model import AfterCondition, JobPlan, Plan, Shape, Target

F = TypeVar("F", bound=Notification)

ERROR = Failure(kind="ValueError", message="bad", where="stages.py:12", bases=("ValueError",))


def job(name: str, *, after: Any = (), shape: Shape = Shape.TASK, **keys: Any) -> JobPlan:
    """A job of a plan; `after` is a name, or pairs of a name and a condition."""
    if isinstance(after, str):
        after = ((after, AfterCondition.SUCCEEDED),)
    target = Target(module="stages", qualname=name)
    return JobPlan(name=name, target=target, shape=shape, after=tuple(after), **keys)


def plan(*jobs: JobPlan, timeout_s: float | None = None) -> Plan:
    """A plan of these jobs; the supervisor does not look at queues."""
    return Plan(
        name="test",
        spec_path="/p/jobs.yaml",
        project_dir="/p",
        queues={},
        jobs={job.name: job for job in jobs},
        timeout_s=timeout_s,
    )


class FakeRun:
    """Tells a supervisor what happens, and keeps all that it orders as (time, order)."""

    def __init__(
        self, *jobs: JobPlan, timeout_s: float | None = None, done: Iterable[str] = ()
    ) -> None:
        self.supervisor = Supervisor(plan(*jobs, timeout_s=timeout_s), done=done)
        self.now = 0.0
        self.orders: list[tuple[float, Command | BrokerNews]] = []
        self._pids = 100

    def tell(self, event: Event | SupervisorNews) -> list[Command | BrokerNews]:
        orders = self.supervisor.handle(event, self.now)
        self.orders += [(self.now, order) for order in orders]
        return orders

    def begin(self) -> FakeRun:
        self.tell(Began())
        return self

    def start(self, *workers: str) -> FakeRun:
        """Their processes exist; without a name, those of all that were ordered."""
        names = workers or [
            w
            for w in self.ordered_starts()
            if self.supervisor.worker_states[w].pid is None
            and self.state_of(w) in ("starting", "draining")
        ]
        for worker in names:
            self._pids += 1
            self.tell(ProcessStarted(worker=worker, pid=self._pids))
        return self

    def ready(self, *workers: str) -> FakeRun:
        for worker in workers:
            self.tell(Received(worker=worker, message=Ready()))
        return self

    def up(self) -> FakeRun:
        """Begin, start and make ready all that can."""
        self.begin().start()
        return self.ready(*self.ordered_starts())

    def close(
        self, worker: str, failure: Failure | None = None, *, stopped: bool = False
    ) -> FakeRun:
        self.tell(Received(worker=worker, message=Closing(failure=failure, stopped=stopped)))
        return self

    def die(
        self, worker: str, exit_code: int | None = 0, item: str = "", *, fruitful: bool = False
    ) -> FakeRun:
        self.tell(WorkerDied(worker=worker, exit_code=exit_code, item=item, made_progress=fruitful))
        return self

    def succeed(self, *workers: str) -> FakeRun:
        for worker in workers:
            self.close(worker).die(worker)
        return self

    def fail_item(self, worker: str, item: str = "files:17") -> FakeRun:
        self.tell(
            ItemFatal(worker=worker, queue=item.split(":", maxsplit=1)[0], item=item, failure=ERROR)
        )
        return self

    def refuse_put(self, worker: str) -> FakeRun:
        """What the worker gave has found no room in time."""
        self.tell(PutRefused(worker=worker, failure=ERROR))
        return self

    def end_input(self, name: str) -> FakeRun:
        self.tell(InputEnded(job=name))
        return self

    def wait_until(self, when: float) -> FakeRun:
        """Let time pass; tick at each deadline on the way."""
        while (due := self.supervisor.next_deadline()) is not None and due <= when:
            self.now = max(self.now, due)
            self.tell(Ticked())
        self.now = when
        return self

    def of(self, kind: type[Any]) -> list[Any]:
        return [order for _, order in self.orders if isinstance(order, kind)]

    def facts(self, kind: type[F]) -> list[F]:
        return [r.notification for r in self.of(Notify) if isinstance(r.notification, kind)]

    def ordered_starts(self) -> list[str]:
        return [order.worker for order in self.of(StartWorker)]

    def blows(self) -> list[tuple[float, str, int]]:
        """Every signal ordered, as (time, worker, number); 9 is SIGKILL."""
        return [
            (when, order.worker, order.signal if isinstance(order, SignalWorker) else 9)
            for when, order in self.orders
            if isinstance(order, SignalWorker | KillWorker)
        ]

    def signalled(self, number: int = 15) -> list[str]:
        return [worker for _, worker, sent in self.blows() if sent == number]

    def cut_off(self) -> list[str]:
        return [order.worker for order in self.of(Disconnect)]

    def clean(self) -> dict[str, bool]:
        return {news.job: news.clean for news in self.of(JobFinished)}

    def finished(self) -> bool:
        return bool(self.of(Finish))

    def state_of(self, name: str) -> str:
        """The state of a job or worker."""
        return self.states(name)[0]

    def states(self, *names: str) -> list[str]:
        """The states of jobs or workers; without names, of all jobs."""
        jobs = self.supervisor.job_states
        views: Any = {**jobs, **self.supervisor.worker_states}
        return [str(views[name].state.value) for name in names or jobs]

    def reason(self, name: str) -> str:
        return self.supervisor.job_states[name].reason

    @property
    def exit_code(self) -> int | None:
        outcome = self.supervisor.outcome
        return None if outcome is None else int(outcome.exit_code)
