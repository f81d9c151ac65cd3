"""The spec as a typed, frozen model: one class a mapping, one field a key.

Durations are seconds. A field that was not written holds its default, and `model_fields_set` says
which were written. Titles and descriptions are the user's documentation: the JSON schema is made
of them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Tag

from orchestrator.spec.fields import (
    Durable,
    Duration,
    EnvValue,
    ExceptionName,
    FormatVersion,
    Handles,
    JobNames,
    Memory,
    Name,
    PositiveDuration,
    QueueNames,
    SignalName,
    Size,
    TargetName,
    Text,
    Texts,
    Values,
    VariableName,
    by_form,
)

__all__ = [
    "Backoff",
    "Batch",
    "Document",
    "Job",
    "JobSettings",
    "Limits",
    "Queue",
    "Recycle",
    "Restart",
    "Retry",
    "Terminate",
    "Timeouts",
]

Wiring = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[QueueNames, Tag("<list>")]
    | Annotated[Handles, Tag("<map>")],
    by_form("a queue, a list of queues, or a map of parameter to queue"),
]
Condition = Literal["ready", "succeeded", "failed", "finished"]
After = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[JobNames, Tag("<list>")]
    | Annotated[dict[Text, Condition], Tag("<map>")],
    by_form("a job, a list of jobs, or a map of job to ready, succeeded, failed or finished"),
]
ItemAction = Literal["fail", "skip", "dead_letter"]
OnError = Annotated[
    Annotated[ItemAction, Tag("<text>")] | Annotated[dict[ExceptionName, ItemAction], Tag("<map>")],
    by_form("fail, skip, dead_letter, or a map of exception to one of them"),
]


class _Part(BaseModel):
    """What all parts share: strict, frozen, no unknown key."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        strict=True, frozen=True, extra="forbid", title=None
    )


class Queue(_Part):
    """A bounded queue between jobs."""

    maxsize: int = Field(
        default=1000,
        ge=0,
        title="Capacity",
        description="The most items it holds; a full queue makes its writers wait. 0 is unbounded.",
        examples=[256],
    )
    max_bytes: Size = Field(
        default=None,
        title="Capacity in bytes",
        description="It is full as well while the pickles of its items have that many bytes.",
    )
    when_full: Literal["block", "drop_newest", "drop_oldest", "fail"] = Field(
        default="block",
        title="When full",
        description="block: whoever puts waits. drop_newest: what is put goes. drop_oldest: the "
        "item that has waited longest goes. fail: whoever puts fails.",
    )
    put_timeout: PositiveDuration = Field(
        default=None,
        title="Put timeout",
        description="How long a put may wait for room; then it fails.",
    )


def _queue(value: Any) -> Any:
    """Spell out the short forms: `queue:` with nothing, and `queue: 64`."""
    if value is None:
        return {}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"maxsize": value}
    return value


AnyQueue = Annotated[
    Queue,
    BeforeValidator(_queue, json_schema_input_type=Annotated[int, Field(ge=0)] | Queue | None),
]


class Timeouts(_Part):
    """Time limits; null is no limit."""

    start: PositiveDuration = Field(
        default=60.0, title="Start", description="From the start of a worker until it is ready."
    )
    item: PositiveDuration = Field(
        default=None, title="Item", description="For one item, or one batch."
    )
    run: PositiveDuration = Field(
        default=None, title="Run", description="For a worker, from ready to its end."
    )


class Terminate(_Part):
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


class Batch(_Part):
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


class Backoff(_Part):
    """The wait before an item is tried again; it doubles each time, give or take a little."""

    initial: Duration = Field(
        default=0.1, title="Initial", description="Before the second attempt."
    )
    max: Duration = Field(default=10.0, title="Most", description="Before any attempt.")


class Retry(_Part):
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


class Restart(_Part):
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
    replay: Literal["never", "skip"] | None = Field(
        default=None,
        title="Replay",
        description="A job without input is called again from its beginning. skip: what it has put "
        "is compared and not put twice. never: it is not called again. null is skip in a durable "
        "run, else never.",
    )


class Limits(_Part):
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


class Recycle(_Part):
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


class JobSettings(_Part):
    """The keys of a job that `defaults` may hold too."""

    args: Values = Field(
        default=(),
        title="Positional arguments",
        description="After the item for a function; of __init__ for a class.",
        examples=[["out/words.db", 3]],
    )
    kwargs: dict[Text, Any] = Field(
        default={},
        title="Keyword arguments",
        description="Of the function; of __init__ for a class.",
        examples=[{"encoding": "utf-8"}],
    )
    call: Literal["item", "batch", "stream"] = Field(
        default="item",
        title="Call shape",
        description="item: once an item. batch: with a list. stream: once, with an iterator.",
    )
    batch: Batch = Field(default=Batch(), title="Batch", description="Only with `call: batch`.")
    workers: int = Field(
        default=1,
        ge=1,
        title="Workers",
        description="How many processes run this job.",
        examples=[4],
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), title="Timeouts", description="Time limits of a worker."
    )
    join: PositiveDuration = Field(
        default=None,
        title="Join",
        description="How long a worker may take to return after its input has ended.",
    )
    terminate: Terminate = Field(
        default=Terminate(), title="Terminate", description="How a worker is stopped."
    )
    on_failure: Literal["stop", "drain", "continue"] = Field(
        default="stop",
        title="On failure",
        description="What a failed job does to the run: stop it, let it drain, or go on.",
    )
    on_error: OnError = Field(
        default="fail",
        title="On error",
        description="What becomes of an item that raised: fail the job, skip it, or keep it as a "
        "dead letter; or by exception.",
        examples=["skip", {"ValueError": "skip", "else": "dead_letter"}],
    )
    retry: Retry = Field(
        default=Retry(),
        title="Retry",
        description="How often an item is tried that raised, took too long or killed its worker.",
    )
    restart: Restart = Field(
        default=Restart(),
        title="Restart",
        description="How many workers that died are replaced.",
    )
    limits: Limits = Field(
        default=Limits(), title="Limits", description="What a worker's process may use."
    )
    recycle: Recycle = Field(
        default=Recycle(),
        title="Recycle",
        description="When a worker that is well is replaced, against leaks.",
    )
    daemon: bool = Field(
        default=False,
        title="Daemon",
        description="Ended when all other jobs are done, which is no failure.",
    )
    env: dict[VariableName, EnvValue] = Field(
        default={},
        title="Environment",
        description="Set over the inherited environment; null unsets.",
        examples=[{"OMP_NUM_THREADS": 1, "DISPLAY": None}],
    )
    cwd: Text = Field(
        default=".",
        title="Working directory",
        description="Relative to the folder of the spec.",
        examples=["work"],
    )
    start_method: Literal["forkserver", "spawn", "fork"] | None = Field(
        default=None,
        title="Start method",
        description="forkserver where the system has it, else spawn; fork on request.",
    )
    enabled: bool = Field(
        default=True, title="Enabled", description="false: as if the job were absent."
    )
    description: Text = Field(
        default="",
        title="Description",
        description="For whoever reads the spec.",
        examples=["One line for each word."],
    )


class Job(JobSettings):
    """One job: a target, how it is called, and the queues it is wired to."""

    target: TargetName = Field(
        title="Target",
        description="A function or class, as package.module:name.",
        examples=["mypackage.stages:parse"],
    )
    input: Wiring = Field(
        default=(),
        title="Input",
        description="A queue, several by priority, or a map of parameter to queue for handles.",
        examples=["files", ["urgent", "files"], {"q": "mailbox"}],
    )
    output: Wiring = Field(
        default=(),
        title="Output",
        description="A queue, several for a copy to each, or a map of parameter to queue.",
        examples=["facts", ["facts", "copies"], {"good": "facts", "bad": "odd"}],
    )
    after: After = Field(
        default=(),
        title="After",
        description="The jobs it waits for: succeeded, unless a map says otherwise.",
        examples=["store", ["store", "index"], {"serve": "ready"}],
    )


class Document(_Part):
    """A pipeline of processes and queues, run by `mporch run`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        title="Spec",
        json_schema_extra={"patternProperties": {"^x-": {"description": "Free, for anchors."}}},
    )

    version: FormatVersion = Field(title="Version", description="The version of this format: 1.")
    name: Text = Field(
        default="",
        title="Name",
        description="The name of the pipeline; the spec's folder gives it otherwise.",
        examples=["census"],
    )
    timeout: PositiveDuration = Field(
        default=None, title="Timeout", description="For the whole run; it then ends with exit 124."
    )
    durable: Durable = Field(
        default=False,
        title="Durable",
        description="Whether the queues are kept on disk, so that `mporch resume` can go on after "
        "the death of all processes; full: after a loss of power, too.",
    )
    pythonpath: Texts = Field(
        default=(".",),
        title="Python path",
        description="Where targets are found, relative to the folder of the spec.",
        examples=[["src"]],
    )
    defaults: JobSettings = Field(
        default=JobSettings(),
        title="Defaults",
        description="Keys for every job they fit.",
        examples=[{"terminate": {"grace": "5s"}}],
    )
    queues: dict[Name, AnyQueue] = Field(
        default={},
        title="Queues",
        description="The queues, by name; a number is short for maxsize, nothing for 1000.",
        examples=[{"files": 256, "facts": {"maxsize": 64}, "odd": None}],
    )
    jobs: dict[Name, Job] = Field(
        title="Jobs",
        description="The jobs, by name.",
        examples=[
            {
                "find": {"target": "stages:find", "output": "files"},
                "parse": {"target": "stages:parse", "input": "files", "workers": 2},
            }
        ],
        json_schema_extra={"minProperties": 1},
    )
