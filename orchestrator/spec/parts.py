"""The smaller mappings of a spec: queues, and the parts of a job; see `model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from orchestrator.choices import ReplayMode, Shape, WhenFull
from orchestrator.spec.declaration import Before, Bounds, Field, SpecPart
from orchestrator.spec.types import (
    BY_VALUE,
    Combinations,
    Duration,
    ItemName,
    Memory,
    PositiveDuration,
    RateLimit,
    SignalName,
    Size,
    SomeValues,
    switched,
)

__all__ = [
    "ANY_INPUT",
    "EVERY",
    "NAMED_INPUT",
    "NO_INPUT",
    "PER_ITEM",
    "AnyOrdered",
    "AnyQueue",
    "AnyRate",
    "Backoff",
    "Batch",
    "Key",
    "Limits",
    "Matrix",
    "Ordered",
    "QueueSpec",
    "Rate",
    "Recycle",
    "Restart",
    "Retry",
    "Terminate",
    "Timeouts",
]


EVERY = frozenset(Shape)
PER_ITEM = frozenset({Shape.ITEM, Shape.BATCH})
"""Called anew for each item or batch: an item can be retried, timed and skipped."""
NAMED_INPUT = PER_ITEM | {Shape.STREAM}
"""Items are handed over; no handle to read from."""
ANY_INPUT = NAMED_INPUT | {Shape.HANDLES}
NO_INPUT = frozenset({Shape.SOURCE, Shape.TASK})


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a key of a job fits and who tells it; it stands in the `Annotated` of the key."""

    fits: frozenset[Shape] = EVERY
    """The shapes of jobs that may have it: the table of docs/spec.md."""
    copied: bool = False
    """The job's plan has a field of the same name, with the value as it is written."""
    told: bool = False
    """`mporch plan` tells it as `key: value`, unless it is the default. Only of what is copied."""
    text: bool = False
    """It is text that mporch hands on: a variable's value is taken as text there, and what the
    environment has given, which may be a secret, is told as `${NAME}`."""
    null: bool = False
    """null is a value of its own there, and not the same as an absent key."""


class QueueSpec(SpecPart):
    """A bounded queue between jobs."""

    model_config: ClassVar[Mapping[str, Any]] = {"title": "Queue"}

    maxsize: int = Field(
        default=10_000,
        ge=0,
        title="Capacity",
        description="The most items it holds; a full queue makes its writers wait. 0 is unbounded. "
        "Without it and max_bytes, it holds 16 MiB of large items.",
        examples=[256],
    )
    max_bytes: Size = Field(
        default=None,
        title="Capacity in bytes",
        description="It is full as well while the pickles of its items have that many bytes.",
    )
    when_full: Annotated[WhenFull, BY_VALUE] = Field(
        default=WhenFull.BLOCK,
        title="When full",
        description="block: whoever puts waits. "
        "drop_newest: what is put goes. "
        "drop_oldest: the item that has waited longest goes. "
        "fail: whoever puts fails.",
    )
    put_timeout: PositiveDuration = Field(
        default=None,
        title="Put timeout",
        description="How long a put may wait for room; then it fails.",
    )
    item_name: ItemName = Field(
        default=None,
        title="Item name",
        description="What its items are called, as `item_name` of a job; one that the job has "
        "itself comes first.",
        examples=["{item[path]}", "none"],
    )


def _queue(value: Any) -> Any:
    """Spell out the short forms: `queue:` with nothing, and `queue: 64`; null is no maxsize."""
    if value is None:
        return {}
    if isinstance(value, dict) and value.get("maxsize", 0) is None:
        return {key: each for key, each in value.items() if key != "maxsize"}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"maxsize": value}
    return value


AnyQueue = Annotated[
    QueueSpec,
    Before(_queue, written=Annotated[int, Bounds(ge=0)] | QueueSpec | None),
]


class Timeouts(SpecPart):
    """`timeouts` of a job: of a worker's start, an item, and a worker's run; null is no limit."""

    start: Annotated[PositiveDuration, Key(null=True)] = Field(
        default=60.0, title="Start", description="From the start of a worker until it is ready."
    )
    item: Annotated[PositiveDuration, Key(fits=PER_ITEM)] = Field(
        default=None, title="Item", description="For one item, or one batch."
    )
    run: PositiveDuration = Field(
        default=None, title="Run", description="For a worker, from ready to its end."
    )


class Terminate(SpecPart):
    """How a worker is stopped."""

    signal: SignalName = Field(
        default="SIGTERM",
        title="Stop signal",
        description="Sent first: SIGTERM, SIGINT, …",
        examples=["SIGINT"],
    )
    grace: Duration = Field(
        default=10.0, title="Grace", description="From the stop signal until SIGKILL."
    )


class Batch(SpecPart):
    """How items are gathered into one call."""

    size: int = Field(
        default=100,
        ge=1,
        title="Size",
        description="The most items in one call.",
        examples=[500],
    )
    within: Duration = Field(
        default=0.2, title="Within", description="The longest wait for more, after the first item."
    )


class Backoff(SpecPart):
    """The wait before an item is tried again; it doubles each time, give or take a little."""

    initial: Duration = Field(
        default=0.1, title="Initial", description="Before the second attempt."
    )
    max: Duration = Field(default=10.0, title="Most", description="Before any attempt.")


class Retry(SpecPart):
    """How often an item is tried."""

    attempts: int = Field(
        default=1,
        ge=1,
        le=1000,
        title="Attempts",
        description="Calls with the item, in all.",
        examples=[3],
    )
    backoff: Backoff = Field(
        default=Backoff(), title="Backoff", description="After a raise; none after a death."
    )


class Restart(SpecPart):
    """How many workers that died are replaced."""

    max: int = Field(
        default=5,
        ge=0,
        le=10_000,
        title="Most",
        description="Of a job, within the time; one more fails the job. 0: none is replaced.",
        examples=[10],
    )
    within: Duration = Field(default=60.0, title="Within", description="The time.")
    replay: Annotated[Annotated[ReplayMode, BY_VALUE] | None, Key(fits=NO_INPUT)] = Field(
        default=None,
        title="Replay",
        description="A job without input is called again from its beginning. skip: what it has put "
        "is compared and not put twice. never: it is not called again. null is skip in a durable "
        "run, else never.",
    )


class Matrix(SpecPart, extra=SomeValues):
    """Names with lists of values; a job is made for each combination of them."""

    model_config: ClassVar[Mapping[str, Any]] = {
        "extra": "allow",
        "json_schema_extra": {"minProperties": 1},
    }

    include: Combinations = Field(
        default=(),
        title="Include",
        description="Values added to the combinations they agree with; a combination of its own "
        "where there is none.",
        examples=[[{"region": "eu", "mirror": True}]],
    )
    exclude: Combinations = Field(
        default=(),
        title="Exclude",
        description="Combinations that are left out; some of the names are enough.",
        examples=[[{"region": "us", "size": 2}]],
    )


class Limits(SpecPart):
    """What a worker's process may use; null is no limit."""

    memory: Memory = Field(default=None, title="Memory", description="Address space.")
    cpu: PositiveDuration = Field(default=None, title="CPU", description="Processor time.")
    open_files: int | None = Field(
        default=None,
        ge=16,
        title="Open files",
        description="File descriptors.",
        examples=[1024],
    )


class Recycle(SpecPart):
    """When a worker that is well gives its place to a new process."""

    max_items: int | None = Field(
        default=None,
        ge=1,
        title="Items",
        description="After so many items.",
        examples=[10_000],
    )
    max_rss: Memory = Field(
        default=None, title="Memory", description="Once it has more than this in RAM."
    )


class Rate(SpecPart):
    """How many items a job may start in a time, over all its workers."""

    limit: RateLimit = Field(title="Limit", description="A number and a unit: s, min, h or d.")
    burst: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        title="Burst",
        description="How many may start at once after a time in which fewer did.",
        examples=[10],
    )


def _short_rate(value: Any) -> Any:
    """Spell out the short form: `rate: 10/s`."""
    return value if value is None or isinstance(value, Rate | dict) else {"limit": value}


AnyRate = Annotated[Rate | None, Before(_short_rate, written=RateLimit | Rate | None)]


class Ordered(SpecPart):
    """That a job's outputs leave in the order of its input."""

    window: int | None = Field(
        default=None,
        ge=1,
        title="Window",
        description="How many items, from the first unfinished one on, may be worked on or be "
        "finished ahead. Unless said, as many as the input holds, and 4,096 a worker at most.",
        examples=[64],
    )


AnyOrdered = Annotated[Ordered | None, Before(switched, written=bool | Ordered)]
