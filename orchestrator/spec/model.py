"""The spec as a typed, frozen model: one class a mapping, one field a key.

Durations are seconds. A field that was not written holds its default, and `model_fields_set` says
which were written. Titles and descriptions are the user's documentation: the JSON schema is made
of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from orchestrator.choices import (
    AfterCondition,
    Capture,
    CommandInput,
    CommandOutput,
    ErrorAction,
    FailurePolicy,
    Shape,
    StartMethod,
)
from orchestrator.spec.cases import Case
from orchestrator.spec.declaration import After as AfterReading
from orchestrator.spec.declaration import Bounds, Field, SpecPart, Tag
from orchestrator.spec.parts import (
    ANY_INPUT,
    EVERY,
    NAMED_INPUT,
    NO_INPUT,
    PER_ITEM,
    AnyOrdered,
    AnyQueue,
    AnyRate,
    Batch,
    Key,
    Limits,
    Matrix,
    Recycle,
    Restart,
    Retry,
    Terminate,
    Timeouts,
)
from orchestrator.spec.types import (
    BY_VALUE,
    CommandLine,
    Durable,
    EnvValue,
    ExceptionName,
    ExitCodes,
    FormatVersion,
    Handles,
    ItemName,
    JobNames,
    Name,
    PositiveDuration,
    QueueNames,
    TagName,
    TagNames,
    TargetName,
    Text,
    Texts,
    Values,
    VariableName,
    VarName,
    Workers,
    by_form,
)

__all__ = [
    "FITS",
    "KEYS",
    "ONLY_COMMANDS",
    "ONLY_TARGETS",
    "TEXTS",
    "Document",
    "JobSettings",
    "JobSpec",
]

Wiring = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[QueueNames, Tag("<list>")]
    | Annotated[Handles, Tag("<map>")],
    by_form("a queue, a list of queues, or a map of parameter to queue"),
]
Condition = Annotated[AfterCondition, BY_VALUE]
After = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[JobNames, Tag("<list>")]
    | Annotated[dict[Text, Condition], Tag("<map>")],
    by_form("a job, a list of jobs, or a map of job to ready, succeeded, failed or finished"),
]


def _each_once(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


Tags = Annotated[
    Annotated[TagName, Tag("<text>")] | Annotated[TagNames, Tag("<list>")],
    by_form("a tag or a list of tags"),
    AfterReading(_each_once),
]
ItemAction = Annotated[ErrorAction, BY_VALUE]
OnError = Annotated[
    Annotated[ItemAction, Tag("<text>")] | Annotated[dict[ExceptionName, ItemAction], Tag("<map>")],
    by_form("fail, skip, dead_letter, or a map of exception to one of them"),
]


class JobSettings(SpecPart):
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
    call: Annotated[Literal["item", "batch", "stream"], Key(fits=NAMED_INPUT)] = Field(
        default="item",
        title="Call shape",
        description="item: once an item. batch: with a list. stream: once, with an iterator.",
    )
    batch: Annotated[Batch, Key(fits=frozenset({Shape.BATCH}))] = Field(
        default=Batch(), title="Batch", description="Only with `call: batch`."
    )
    workers: Annotated[Workers, Key(copied=True)] = Field(
        default=1,
        title="Workers",
        description="How many processes run this job; auto: as many as there are processors.",
        examples=[4, "auto"],
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), title="Timeouts", description="Time limits of a worker."
    )
    join: Annotated[PositiveDuration, Key(fits=ANY_INPUT)] = Field(
        default=None,
        title="Join",
        description="How long a worker may take to return after its input has ended.",
    )
    terminate: Terminate = Field(
        default=Terminate(), title="Terminate", description="How a worker is stopped."
    )
    on_failure: Annotated[FailurePolicy, BY_VALUE, Key(copied=True, told=True)] = Field(
        default=FailurePolicy.STOP,
        title="On failure",
        description="What a failed job does to the run: stop it, let it drain, or go on.",
    )
    on_error: Annotated[OnError, Key(fits=PER_ITEM)] = Field(
        default=ErrorAction.FAIL,
        title="On error",
        description="What becomes of an item that raised: fail the job, skip it, or keep it as a "
        "dead letter; or by exception.",
        examples=["skip", {"ValueError": "skip", "else": "dead_letter"}],
    )
    item_name: Annotated[ItemName, Key(fits=PER_ITEM)] = Field(
        default=None,
        title="Item name",
        description="What an item that fails is called beside its number: fields of it, as in "
        "{item[path]}. null: the beginning of its text. none: nothing.",
        examples=["{item[path]}", "{item.url}", "none"],
    )
    retry: Annotated[Retry, Key(fits=PER_ITEM)] = Field(
        default=Retry(),
        title="Retry",
        description="How often an item is tried that raised, took too long or killed its worker.",
    )
    restart: Annotated[Restart, Key(fits=PER_ITEM | NO_INPUT)] = Field(
        default=Restart(),
        title="Restart",
        description="How many workers that died are replaced.",
    )
    limits: Limits = Field(
        default=Limits(), title="Limits", description="What a worker's process may use."
    )
    recycle: Annotated[Recycle, Key(fits=PER_ITEM)] = Field(
        default=Recycle(),
        title="Recycle",
        description="When a worker that is well is replaced, against leaks.",
    )
    rate: Annotated[AnyRate, Key(fits=frozenset({Shape.ITEM}))] = Field(
        default=None,
        title="Rate",
        description="How many items the job may start in a time, over all its workers: 10/s, "
        "100/min, 5/h. A retry counts. null is no limit.",
        examples=["10/s", {"limit": "100/min", "burst": 10}],
    )
    ordered: Annotated[AnyOrdered, Key(fits=frozenset({Shape.ITEM}))] = Field(
        default=None,
        title="Ordered",
        description="Whether its outputs leave in the order of its input, however many workers "
        "there are; what is finished ahead waits.",
        examples=[True, {"window": 64}],
        json_schema_extra={"default": False},
    )
    total: Annotated[
        Annotated[int, Bounds(ge=0, le=1 << 53)] | None,
        Key(fits=frozenset({Shape.SOURCE}), copied=True),
    ] = Field(
        default=None,
        title="Total",
        description="How many items a source has, for the progress that is shown. null is what the "
        "value of its target says by its len, if it has one.",
        examples=[12000],
    )
    daemon: Annotated[bool, Key(copied=True)] = Field(
        default=False,
        title="Daemon",
        description="Ended when all other jobs are done, which is no failure; what it reads it may "
        "read to the end before.",
    )
    env: dict[VariableName, EnvValue] = Field(
        default={},
        title="Environment",
        description="Set over the inherited environment; null unsets.",
        examples=[{"OMP_NUM_THREADS": 1, "DISPLAY": None}],
    )
    cwd: Annotated[Text, Key(text=True)] = Field(
        default=".",
        title="Working directory",
        description="Relative to the folder of the spec.",
        examples=["work"],
    )
    start_method: Annotated[StartMethod, BY_VALUE] | None = Field(
        default=None,
        title="Start method",
        description="forkserver where the system has it, else spawn; fork on request.",
    )
    capture: Annotated[Capture, BY_VALUE, Key(copied=True)] = Field(
        default=Capture.AUTO,
        title="Capture",
        description="What printed lines are. auto: those of JSON that have a text and a level are "
        "log records. text: all are output.",
    )
    enabled: bool = Field(
        default=True, title="Enabled", description="false: as if the job were absent."
    )
    tags: Annotated[Tags, Key(copied=True)] = Field(
        default=(),
        title="Tags",
        description="Words by which `mporch run --tags` chooses jobs.",
        examples=["nightly", ["nightly", "slow"]],
    )
    description: Annotated[Text, Key(copied=True, text=True)] = Field(
        default="",
        title="Description",
        description="For whoever reads the spec.",
        examples=["One line for each word."],
    )


def _keys_of(part: type[SpecPart], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Yield what is declared of each key of a part of a job, and of the parts in it."""
    for name, field in part.model_fields.items():
        yield (
            (*path, name),
            next((each for each in field.metadata if isinstance(each, Key)), Key()),
        )
        if isinstance(field.default, SpecPart):
            yield from _keys_of(type(field.default), (*path, name))


KEYS: Mapping[tuple[str, ...], Key] = dict(_keys_of(JobSettings, ()))
"""What is declared of each key that `defaults` may hold, by the keys that lead to it."""
FITS = {path: key.fits for path, key in KEYS.items() if key.fits != EVERY}
"""The keys that do not fit every job, with the shapes they fit."""
TEXTS = tuple(path[0] for path, key in KEYS.items() if key.text)
"""The keys whose text is handed on."""

ONLY_COMMANDS = ("stdin", "stdout", "exit_codes", "tty")
ONLY_TARGETS = ("args", "kwargs")
"""The keys that a command takes from nowhere, `defaults` neither."""
_NO_COMMAND: Mapping[str, Any] = dict.fromkeys(("command", *ONLY_COMMANDS), False)
_NO_TARGET: Mapping[str, Any] = {key: {"type": "null"} for key in ONLY_TARGETS}


class JobSpec(JobSettings):
    """One job: a target or a command, how it is called, and the queues it is wired to."""

    model_config: ClassVar[Mapping[str, Any]] = {
        "title": "Job",
        "json_schema_extra": {
            "anyOf": [{"required": ["target"]}, {"required": ["command"]}],
            "dependentSchemas": {
                "target": {"properties": _NO_COMMAND},
                "command": {"properties": _NO_TARGET},
            },
        },
    }

    target: TargetName = Field(
        default="",
        title="Target",
        description="A function or class, as package.module:name.",
        examples=["mypackage.stages:parse"],
    )
    command: CommandLine = Field(
        default=(),
        title="Command",
        description="Instead of a target: a program and its arguments, or text for /bin/sh. {item} "
        "stands for the item.",
        examples=[["tar", "czf", "out.tgz", "data"], ["sha256sum", "{item}"], "sort | uniq -c"],
    )
    stdin: Annotated[CommandInput, BY_VALUE] | None = Field(
        default=None,
        title="Standard input",
        description="What a command reads. text: each item, and a newline. json: each item as a "
        "line of JSON. none: nothing. null is text for a command without {item} that has an input.",
    )
    stdout: Annotated[CommandOutput, BY_VALUE] | None = Field(
        default=None,
        title="Standard output",
        description="What a command writes. lines: each line is an item. json: each line is one in "
        "JSON. text: all of it is one item. log: it is logged. null is lines where there is an "
        "output, else log.",
    )
    exit_codes: ExitCodes = Field(
        default=(0,),
        title="Exit codes",
        description="Those by which a command says that it has succeeded.",
        examples=[[0, 1]],
    )
    tty: bool = Field(
        default=False,
        title="Terminal",
        description="Whether a command writes to a terminal, on which programs show colours and "
        "progress.",
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

    matrix: Matrix = Field(
        default=Matrix(),
        title="Matrix",
        description="Makes several jobs of this one, one for each combination of the values; "
        "${matrix.name} is the value.",
        examples=[
            {"region": ["eu", "us"], "size": [1, 2], "exclude": [{"region": "us", "size": 2}]}
        ],
    )


class Document(SpecPart):
    """A pipeline of processes and queues, run by `mporch run`."""

    model_config: ClassVar[Mapping[str, Any]] = {
        "title": "Spec",
        "json_schema_extra": {"patternProperties": {"^x-": {"description": "Free, for anchors."}}},
    }

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
    vars: dict[VarName, Any] = Field(
        default={},
        title="Variables",
        description="Values of any kind, which other values name as ${vars.name}.",
        examples=[{"folder": "out", "db": {"host": "localhost", "port": 5432}}],
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
        description="The queues, by name; a number is short for maxsize, nothing for 10000.",
        examples=[{"files": 256, "facts": {"maxsize": 64}, "odd": None}],
    )
    jobs: dict[Name, JobSpec] = Field(
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
    tests: dict[Text, Case] = Field(
        default={},
        title="Tests",
        description="Cases for `mporch test`, by name; a run passes them over.",
        examples=[
            {
                "a blank line is odd": {
                    "give": {"lines": ["a b", ""]},
                    "expect": {"queues": {"odd": [""]}},
                }
            }
        ],
    )
