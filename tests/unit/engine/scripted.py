"""An engine that tells what a script says, and keeps what it is asked, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import FromWorker
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.engine import Died, Happening, Received, Started
from orchestrator.engine.orders import Orders
from orchestrator.plan.model import JobPlan, Plan, QueuePlan, Shape, Target

Turn = Sequence[Happening] | Callable[[], Sequence[Happening]]


class ScriptedEngine:
    """Each `wait` returns the next turn of the script; when there is none left, the test is over.

    `settling` are what the next calls of `settle` return. `now` moves to the end of each wait.
    """

    def __init__(self, *turns: Turn) -> None:
        self.script: list[Turn] = list(turns)
        self.settling: list[Sequence[Happening]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.places: dict[str, Blame] = {}
        self.left: tuple[Any, ...] = ()
        self.time = 100.0
        self.signals_at_pause = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Whatever only orders something is kept."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **keys: self.asked.append((name, *args, *keys.values()))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        self.asked.append(("open",))
        yield
        self.asked.append(("left",))

    def now(self) -> float:
        return self.time

    def doing(self, worker: str) -> Blame:
        return self.places.get(worker, Blame())

    def measure(self, worker: str) -> None:
        del worker

    def wait(self, timeout_s: float | None) -> Sequence[Happening]:
        self.asked.append(("wait", timeout_s))
        if not self.script:
            raise EndOfScriptError
        turn = self.script.pop(0)
        return turn() if callable(turn) else turn

    def settle(self) -> Sequence[Happening]:
        self.asked.append(("settle",))
        return self.settling.pop(0) if self.settling else ()

    def pause(self, seconds: float) -> bool:
        self.asked.append(("pause", seconds))
        return self.signals_at_pause

    def close(self, within_s: float) -> Sequence[Any]:
        self.asked.append(("close", within_s))
        return self.left

    # -- for tests --------------------------------------------------------------------------------

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        return [asked for asked in self.asked if asked[0] in names]

    def names(self) -> list[str]:
        return [asked[0] for asked in self.asked]

    def sent(self, worker: str) -> list[str]:
        """The kinds of messages sent to a worker."""
        return [type(asked[2]).__name__ for asked in self.of("send") if asked[1] == worker]


class EndOfScriptError(Exception):
    """The conductor waits for more than the test says."""


class Audience:
    """An observer that keeps what it is told, and the order among what the engine is asked."""

    backed_up = False
    pending = False
    unwritten: tuple[int, ...] = ()

    def __init__(self, engine: ScriptedEngine) -> None:
        self.facts: list[Any] = []
        self._asked = engine.asked

    def notify(self, fact: Any, now: float) -> None:
        del now
        self.facts.append(fact)
        self._asked.append(("told", type(fact).__name__))

    def commit(self) -> None:
        self._asked.append(("committed",))

    def flush(self) -> None:
        self._asked.append(("observed",))

    def of(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


class Ear:
    """A store or recorder that keeps when it was called."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.asked = engine.asked

    def keep(self, entry: Any) -> None:
        del entry
        self.asked.append(("kept",))

    def retry(self) -> None:
        self.asked.append(("kept again",))


def job(name: str, reads: str = "", writes: str = "", **keys: Any) -> JobPlan:
    """A job around the queues named: a source, or called for each item."""
    shape = Shape.ITEM if reads else Shape.SOURCE if writes else Shape.TASK
    return JobPlan(
        name=name,
        target=Target(module="stages", qualname=name),
        shape=shape,
        inputs=tuple(reads.split()),
        outputs=tuple(writes.split()),
        **keys,
    )


def plan(*jobs: JobPlan, **keys: Any) -> Plan:
    names = dict.fromkeys(name for each in jobs for name in (*each.reads, *each.writes))
    queues = {
        name: QueuePlan(
            name=name,
            maxsize=9,
            writers=tuple(each.name for each in jobs if name in each.writes),
            readers=tuple(each.name for each in jobs if name in each.reads),
        )
        for name in names
    }
    return Plan(
        name="test",
        spec_path="/p/jobs.yaml",
        project_dir="/p",
        queues=queues,
        jobs={each.name: each for each in jobs},
        **keys,
    )


class Performance:
    """A conductor over a scripted engine, played to the end of the script or of the run."""

    def __init__(self, engine: ScriptedEngine, *jobs: JobPlan, **keys: Any) -> None:
        self.engine = engine
        self.audience = Audience(engine)
        about = plan(*jobs, **keys.pop("plan", {}))
        orders = Orders(about, run_id="r", run_dir="/p/r")
        self.conductor = Conductor(about, engine, orders, self.audience, **keys)

    def play(self) -> Performance:
        with contextlib.suppress(EndOfScriptError):
            self.conductor.run_to_end()
        return self


def up(*workers: str) -> list[Happening]:
    """They are there."""
    return [Started(worker=worker, pid=100 + n) for n, worker in enumerate(workers)]


def says(worker: str, *messages: FromWorker | tuple[FromWorker, bytes]) -> Received:
    """What a worker sends in one go; a message with a body comes with it."""
    frames = [m if isinstance(m, tuple) else (m,) for m in messages]
    return Received(worker=worker, frames=[(m, tuple(body)) for m, *body in frames])


def dies(worker: str, exit_code: int | None = 0, **keys: Any) -> Died:
    return Died(worker=worker, exit_code=exit_code, **keys)
