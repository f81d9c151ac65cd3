"""The mappings under `tests`: what a case gives, replaces, kills and expects; see `model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from orchestrator.spec.declaration import Before, Bounds, Field, Lax, SpecPart, Tag
from orchestrator.spec.types import (
    PositiveDuration,
    TargetName,
    Text,
    Values,
    VarName,
    by_form,
)

__all__ = ["AnyExpected", "Case", "Expect", "Expected", "Given", "Items", "Kill", "StandIn"]

JobState = Literal["succeeded", "failed", "timed_out", "terminated", "killed", "skipped"]


class Given(SpecPart):
    """Where a case has a queue's items from: one of the three."""

    items: Values | None = Field(
        default=None, title="Items", description="The items themselves.", examples=[["a", "b"]]
    )
    file: Text | None = Field(
        default=None,
        title="File",
        description="A list in JSON or YAML, a value a line in .jsonl, or the lines of .txt; "
        "relative to the folder of the spec.",
        examples=["tests/lines.txt"],
    )
    target: TargetName | None = Field(
        default=None,
        title="Target",
        description="A function that yields the items, for what YAML cannot spell.",
        examples=["mypackage.samples:pictures"],
    )
    args: Values = Field(
        default=(), title="Positional arguments", description="Of the target.", examples=[[3]]
    )
    kwargs: dict[Text, Any] = Field(
        default={}, title="Keyword arguments", description="Of the target.", examples=[{"seed": 1}]
    )


Items = Annotated[
    Annotated[Values, Tag("<list>")] | Annotated[Given, Tag("<map>")],
    by_form("a list of items, or a map with file or target"),
]
StandIn = Annotated[
    Annotated[Values, Tag("<list>")]
    | Annotated[dict[Text, Values], Tag("<map>")]
    | Annotated[None, Tag("<nothing>")],
    by_form("a list of what it gives, a map of queue to such a list, or nothing"),
]


class Expected(SpecPart):
    """What is asked of the items of a queue, or of a job's dead letters; all that is written."""

    equals: Values | None = Field(
        default=None, title="Equals", description="These, in this order.", examples=[["a", "b"]]
    )
    in_any_order: Values | None = Field(
        default=None,
        title="In any order",
        description="These and no others.",
        examples=[["a", "b"]],
    )
    contains: Values | None = Field(
        default=None, title="Contains", description="These, and maybe others.", examples=[["b"]]
    )
    each: Any = Field(
        default=None,
        title="Each",
        description="What every item is like.",
        examples=[{"$type": "str"}],
    )
    count: int | None = Field(
        default=None, ge=0, title="Count", description="So many.", examples=[3]
    )
    at_least: int | None = Field(
        default=None, ge=0, title="At least", description="So many, or more.", examples=[1]
    )
    at_most: int | None = Field(
        default=None, ge=0, title="At most", description="So many, or fewer.", examples=[10]
    )


AnyExpected = Annotated[
    Annotated[Values, Tag("<list>")]
    | Annotated[Annotated[int, Bounds(ge=0)], Tag("<number>")]
    | Annotated[Expected, Tag("<map>")],
    by_form("a list of items in order, their number, or a map of what is asked of them"),
]


class Expect(SpecPart):
    """What must be true once the case has run."""

    queues: dict[Text, AnyExpected] = Field(
        default={},
        title="Queues",
        description="All that was put on a queue: a list is short for equals, a number for count.",
        examples=[{"facts": [1, 2], "odd": 0}],
    )
    dead: dict[Text, AnyExpected] = Field(
        default={},
        title="Dead letters",
        description="The items that became dead letters, by job; as under queues.",
        examples=[{"parse": ["x"]}],
    )
    jobs: dict[Text, JobState] = Field(
        default={},
        title="Jobs",
        description="How jobs have ended.",
        examples=[{"parse": "failed"}],
    )
    exit_code: int = Field(
        default=0, ge=0, le=255, title="Exit code", description="That of the run.", examples=[3]
    )
    log: Annotated[tuple[dict[Text, Any], ...], Lax()] = Field(
        default=(),
        title="Log",
        description="For each of these, an event of the log that has these fields.",
        examples=[[{"event": "item.skipped", "job": "parse"}]],
    )


class Kill(SpecPart):
    """A worker that dies by SIGKILL, once."""

    job: Text = Field(title="Job", description="Whose worker it is.", examples=["parse"])
    at_item: int = Field(
        default=1,
        ge=1,
        title="At item",
        description="When the job begins with its n-th item, not counting again one that comes "
        "again; of a job without input, when it gives its n-th.",
        examples=[3],
    )


def _kills(value: Any) -> Any:
    """Spell out the short form: one kill without a list."""
    return [value] if isinstance(value, Mapping) else value


Kills = Annotated[
    tuple[Kill, ...],
    Lax(),
    Before(_kills, written=Kill | list[Kill]),
]


class Case(SpecPart):
    """One test of the pipeline: a run of it, or of a part, and what must come of it."""

    description: Text = Field(
        default="",
        title="Description",
        description="For whoever reads the spec.",
        examples=["As the log of March had it."],
    )
    vars: dict[VarName, Any] = Field(
        default={},
        title="Variables",
        description="Over those of the spec, which must have them, for this case.",
        examples=[{"folder": "out/test"}],
    )
    give: dict[Text, Items] = Field(
        default={},
        title="Give",
        description="Items for queues. Only what lies downstream of them is run, and what that "
        "waits for.",
        examples=[{"lines": ["a b", "c"]}, {"lines": {"file": "tests/lines.txt"}}],
    )
    replace: dict[Text, StandIn] = Field(
        default={},
        title="Replace",
        description="Jobs whose code is not run. One takes what comes, and gives these values: "
        "one an item, the rest at the end.",
        examples=[{"fetch": ["a page"], "store": None}],
    )
    kill: Kills = Field(
        default=(),
        title="Kill",
        description="Workers that die in the midst of their work.",
        examples=[{"job": "parse", "at_item": 3}],
    )
    timeout: PositiveDuration = Field(
        default=60.0,
        title="Timeout",
        description="For the run of this case; the pipeline's own timeout holds if it is shorter.",
    )
    expect: Expect = Field(
        default=Expect(), title="Expect", description="What must be true afterwards."
    )
