"""The plan: what will run. A frozen graph of jobs and queues, resolved and checked; pure data.

Every number carries its unit in its name. A plan can be compared, hashed by its JSON form and sent
to another process; nothing in it refers to an open file, a module or a process.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.choices import (
    AfterCondition,
    Capture,
    CommandInput,
    CommandOutput,
    ErrorAction,
    FailurePolicy,
    ReplayMode,
    Shape,
    StartMethod,
    WhenFull,
)
from orchestrator.targets.target import Target

__all__ = [
    "AfterCondition",
    "BatchPlan",
    "Capture",
    "Command",
    "CommandInput",
    "CommandOutput",
    "Durability",
    "ErrorAction",
    "ErrorPolicy",
    "FailurePolicy",
    "JobPlan",
    "LateName",
    "LateValue",
    "LimitsPlan",
    "OrderedPlan",
    "Plan",
    "QueuePlan",
    "RatePlan",
    "RecyclePlan",
    "ReplayMode",
    "RestartPlan",
    "RetryPlan",
    "Selection",
    "Shape",
    "StartMethod",
    "Target",
    "TerminatePlan",
    "TimeoutsPlan",
    "WhenFull",
]


class Durability(enum.Enum):
    """Whether a run keeps its queues on disk, and what it survives then."""

    OFF = "off"
    ON = "on"
    """The death of all its processes."""
    FULL = "full"
    """A loss of power, too."""

    @property
    def keeps(self) -> bool:
        """True if anything is kept."""
        return self is not Durability.OFF


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """A program in the place of a function: `line` is text for /bin/sh, or program and arguments.

    `{item}` in it stands for the item. `text` is how it is told to people: short, and without what
    came from the environment. `values` are the variables that the shell is given, beside those of
    the item. It has succeeded if it ends with one of `exit_codes`. `tty`: what is logged of it is
    written to a terminal.
    """

    line: str | tuple[str, ...]
    text: str
    values: tuple[tuple[str, str], ...] = ()
    stdin: CommandInput = CommandInput.NONE
    stdout: CommandOutput = CommandOutput.LOG
    exit_codes: tuple[int, ...] = (0,)
    tty: bool = False

    def __str__(self) -> str:
        return self.text


class BatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Size and patience of a batch: at most `size` items, at most `within_s` after the first."""

    size: int
    within_s: float = 0.2


class TimeoutsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits in seconds; None is no limit. `start_s` ends at the worker's READY."""

    start_s: float | None = 60.0
    item_s: float | None = None
    run_s: float | None = None


class TerminatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is stopped: its stop signal's number, then `grace_s` until SIGKILL."""

    signal: int
    grace_s: float = 10.0


class ErrorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to an item by the exception it raised.

    `by_exception` pairs an exception's name, as the user wrote it, with an action; names of base
    classes count, the most derived match wins. `otherwise` holds for every other exception, a
    timeout and a death, once the attempts are used up.
    """

    by_exception: tuple[tuple[str, ErrorAction], ...] = ()
    otherwise: ErrorAction = ErrorAction.FAIL


class RetryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How often an item is tried in all, and the wait before it is tried again.

    The wait doubles from `initial_s` to at most `max_s`. A raise, a timeout of the item and a death
    in it each spend an attempt.
    """

    attempts: int = 1
    initial_s: float = 0.1
    max_s: float = 10.0


class RestartPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead workers of a job are replaced: `max` within any `within_s` seconds.

    `replay` is for jobs that are called once; `before_call` is their `max` for processes that die
    before the target was called.
    """

    max: int = 0
    before_call: int = 0
    within_s: float = 60.0
    replay: ReplayMode = ReplayMode.NEVER


class LimitsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel lets a worker's process use; None is no limit.

    `memory_bytes` is address space, `cpu_s` processor time in seconds.
    """

    memory_bytes: int | None = None
    cpu_s: float | None = None
    open_files: int | None = None


class RecyclePlan(msgspec.Struct, frozen=True, kw_only=True):
    """When a worker that is well gives its place to a new process; None is never."""

    max_items: int | None = None
    max_rss_bytes: int | None = None


class LateName(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is known only when a worker starts, such as `worker.index`."""

    name: str


class LateValue(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a job that is put together when a worker starts; `path` is as in `shown`."""

    path: tuple[str | int, ...]
    pieces: tuple[str | LateName, ...]

    def names(self, name: str) -> bool:
        """True if it has something of that name in it."""
        return LateName(name=name) in self.pieces


class RatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How often a job may start an item, over all its workers: every `interval_s` seconds.

    After a pause it may start `burst` of them at once. `written` is the rate as the user wrote it.
    """

    interval_s: float
    burst: int = 1
    written: str = ""


class OrderedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A job's outputs leave in the order of its input.

    Its workers may be at, or have finished, the `window` items from the first unfinished one on.
    """

    window: int


class QueuePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A bounded queue. `maxsize` counts items, 0 is unbounded. Jobs are listed in spec order.

    `max_bytes` bounds the bytes of its items' pickles, None does not; `soft_bytes` does so where
    the spec gives neither (`core.broker.bounds`). `put_timeout_s` is how long a put may wait for
    room, None for ever. Where none of its readers was chosen there are no `readers`, and no bounds:
    what is put is dropped at once.
    """

    name: str
    maxsize: int = 1000
    max_bytes: int | None = None
    soft_bytes: int | None = None
    when_full: WhenFull = WhenFull.BLOCK
    put_timeout_s: float | None = None
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A job, resolved: every default filled in, every name known to exist.

    `inputs` and `outputs` are queues whose items mporch moves (inputs by priority, a copy to each
    output); `read_handles` and `write_handles` pair a parameter with the queue it is a handle to.
    `join_s` is None where the spec does not limit it (a stopping run then uses 30 s). `shown` says
    what to show in place of values from the environment: paths such as ("kwargs", "token").
    `late` are values that are known only when a worker starts; in their places is their text.
    `item_names` pairs inputs with the template that names their items, where there is one.
    """

    name: str
    target: Target | Command
    shape: Shape
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    read_handles: tuple[tuple[str, str], ...] = ()
    write_handles: tuple[tuple[str, str], ...] = ()
    workers: int = 1
    batch: BatchPlan | None = None
    after: tuple[tuple[str, AfterCondition], ...] = ()
    timeouts: TimeoutsPlan = TimeoutsPlan()
    join_s: float | None = None
    terminate: TerminatePlan = TerminatePlan(signal=15)
    on_failure: FailurePolicy = FailurePolicy.STOP
    on_error: ErrorPolicy = ErrorPolicy()
    item_names: tuple[tuple[str, str], ...] = ()
    retry: RetryPlan = RetryPlan()
    restart: RestartPlan = RestartPlan()
    limits: LimitsPlan = LimitsPlan()
    recycle: RecyclePlan = RecyclePlan()
    rate: RatePlan | None = None
    ordered: OrderedPlan | None = None
    total: int | None = None
    daemon: bool = False
    env: tuple[tuple[str, str | None], ...] = ()
    cwd: str | None = None
    start_method: StartMethod = StartMethod.FORKSERVER
    capture: Capture = Capture.AUTO
    tags: tuple[str, ...] = ()
    description: str = ""
    shown: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    late: tuple[LateValue, ...] = ()

    def __repr__(self) -> str:
        """Without its values: loggers that print the variables of frames would print secrets."""
        return f"<JobPlan {self.name}>"

    @property
    def reads(self) -> tuple[str, ...]:
        """Every queue this job takes items from, by name or through a handle."""
        return self.inputs + tuple(queue for _, queue in self.read_handles)

    @property
    def writes(self) -> tuple[str, ...]:
        """Every queue this job puts items on, by name or through a handle."""
        return self.outputs + tuple(queue for _, queue in self.write_handles)

    def is_counted(self, durability: Durability) -> bool:
        """True if it must be known how much it has put: it may be called again after that."""
        once = self.shape.called_once and bool(self.writes)
        return once and (durability.keeps or self.restart.replay is ReplayMode.SKIP)

    def repeats_gets(self, durability: Durability) -> bool:
        """True if it must be known in which order its target gets items of several queues."""
        return durability.keeps and self.shape.called_once and len(set(self.reads)) > 1


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose of a spec: jobs by name and by tag, with what they need, less `skip`.

    No job and no tag is every job. `left_out` are the jobs that do not run for it.
    """

    jobs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.tags or self.skip)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: its jobs and queues in spec order, absolute paths, seconds.

    `layers` names what the spec was put together of, if that was more than one file. `environment`
    has the variables of the environment that the spec names, with their values, None if unset; in
    a plan that is kept, with what tells whether the spec still gets the same. `instead` has what it
    gets where one is unset or empty: its defaults. `shown` is as in a job.
    `families` has the jobs made of a matrix by the name of the job that they are made of.
    `selection` says what was chosen of the spec: `jobs` and `queues` have no others.
    """

    name: str
    spec_path: str
    project_dir: str
    queues: Mapping[str, QueuePlan]
    jobs: Mapping[str, JobPlan]
    timeout_s: float | None = None
    durability: Durability = Durability.OFF
    pythonpath: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = {}
    instead: Mapping[str, str] = {}
    families: Mapping[str, tuple[str, ...]] = {}
    shown: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    selection: Selection = Selection()


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What a durable run keeps beside its plan: the versions of its jobs' code, and of Python.

    Of the code by module, or by the command that it is.
    """

    code: Mapping[str, str] = {}
    python: str = ""
