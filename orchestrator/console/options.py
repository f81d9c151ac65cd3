"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from orchestrator.console import completing
from orchestrator.console.words import (
    DEFAULT_SPEC,
    Words,
    is_path,
    is_spec,
    once,
    require_no_python,
)
from orchestrator.errors import UsageError
from orchestrator.files import is_there

__all__ = [
    "DURATION",
    "NOTHING_LAID_OVER",
    "Layering",
    "env_file_option",
    "format_option",
    "job_option",
    "layer_options",
    "letter_argument",
    "letters_argument",
    "live_run_argument",
    "queue_option",
    "run_argument",
    "run_options",
    "selection_options",
    "spec_argument",
    "worker_option",
]


if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # older releases of click take no subscript


class _Duration(_Seconds):
    """A time as in a spec, `10s` or `1m30s`, longer than nothing; in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        from orchestrator.spec.units import DurationError, parse_duration_s  # noqa: PLC0415

        try:
            seconds = parse_duration_s(value)
        except DurationError as error:
            self.fail(f"{error}: {error.hint}", param, ctx)
        if not seconds:
            self.fail("there is no time in it", param, ctx)
        return seconds


DURATION = _Duration()

format_option = click.option(
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people or JSON for programs.",
)

run_argument = click.argument(
    "run_name", metavar="[RUN]", default="last", shell_complete=completing.runs
)

live_run_argument = click.argument(
    "run_name", metavar="[RUN]", required=False, shell_complete=completing.live_runs
)

letters_argument = click.argument(
    "run_and_numbers", nargs=-1, metavar="[RUN] [N]...", shell_complete=completing.letters
)

letter_argument = click.argument(
    "run_and_numbers", nargs=-1, metavar="[RUN] [N]", shell_complete=completing.letters
)

spec_argument = click.argument(
    "spec", default="jobs.yaml", metavar="[SPEC]", shell_complete=completing.specs
)

job_option = click.option(
    "--job",
    multiple=True,
    metavar="JOB",
    help="Only of this job (repeatable).",
    shell_complete=completing.jobs,
)

worker_option = click.option(
    "--worker",
    multiple=True,
    metavar="WORKER",
    help="Only of this worker, as parse-1 (repeatable).",
    shell_complete=completing.workers,
)

queue_option = click.option(
    "--queue",
    multiple=True,
    metavar="QUEUE",
    help="Only of this queue (repeatable).",
    shell_complete=completing.queues,
)

_RUN_OPTIONS = (
    click.option(
        "--run-dir",
        metavar="DIR",
        help="Keep this run's files in DIR, which is new or empty, instead of under .mporch.",
    ),
    click.option(
        "--output",
        type=click.Choice(["prefixed", "raw", "none"]),
        default="prefixed",
        show_default=True,
        help="How to show what your functions print: as `job-1 | line`, as it is, or only in "
        "the log.",
    ),
    click.option(
        "--format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="End with a report for people, or the summary as JSON on standard output; "
        "all other output then goes to standard error.",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "live", "10s", "none"]),
        default="auto",
        show_default=True,
        help="How to show how it goes: as a display drawn over and over, as a plain line every ten "
        "seconds, or not at all; auto is live on a terminal and 10s elsewhere.",
    ),
    click.option(
        "--live/--no-live",
        default=None,
        help="The same as --progress live, and as --progress none.",
    ),
    click.option(
        "--on",
        type=click.Choice(["local", "agent"]),
        default="local",
        show_default=True,
        envvar="MPORCH_ON",
        help="Where workers live: with mporch itself, or with agents, which are programs of their "
        "own that speak to it over TCP (MPORCH_ON).",
    ),
    click.option(
        "--dead-ok",
        is_flag=True,
        help="Exit code 0 where all that is wrong are dead letters, instead of 3.",
    ),
)


def run_options(*, new: bool = True) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of one that runs a pipeline; it gets them as `options`.

    A `new` run has its directory.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def running(
            *,
            output: str,
            format: str,  # noqa: A002 -- the option's name
            progress: str,
            live: bool | None,
            on: str,
            dead_ok: bool,
            run_dir: str | None = None,
            **others: Any,
        ) -> int:
            from orchestrator.app import On, Options  # noqa: PLC0415 -- the whole product
            from orchestrator.views.output import OutputMode, ProgressMode  # noqa: PLC0415

            if live is not None:
                progress = "live" if live else "none"
            options = Options(
                run_dir=Path(run_dir) if run_dir else None,
                output=OutputMode(output),
                json_output=format == "json",
                progress=ProgressMode(progress),
                on=On(on),
                dead_ok=dead_ok,
            )
            return command(options=options, **others)

        for option in reversed(_RUN_OPTIONS if new else _RUN_OPTIONS[1:]):
            running = option(running)
        return running

    return decorate


class LineByLine(click.types.StringParamType):
    """Text of which the environment holds one a line: it may have blanks in it."""

    envvar_list_splitter = "\n"


@dataclass(frozen=True, kw_only=True)
class Layering:
    """What the user gave: files to lay over a spec, `name=value`, `key.key=value`, environments."""

    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()


NOTHING_LAID_OVER = Layering()

env_file_option = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    type=LineByLine(),
    shell_complete=completing.specs,
    help="Read variables for ${NAME} from lines NAME=value (repeatable); the environment goes"
    " first.",
)

_LAYERS = (
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        type=LineByLine(),
        metavar="FILE",
        help="Lay this file over SPEC (repeatable); without SPEC, the first of them is the spec.",
        shell_complete=completing.specs,
    ),
    click.option(
        "--var",
        "variables",
        multiple=True,
        type=LineByLine(),
        metavar="NAME=VALUE",
        help="Set a value under vars (repeatable).",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        type=LineByLine(),
        metavar="KEY=VALUE",
        help="Set any value by its keys: jobs.parse.workers=4 (repeatable).",
    ),
    env_file_option,
)


def layer_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options; it gets them as `layering`."""

    @functools.wraps(command)
    def layered(
        *,
        files: tuple[str, ...],
        variables: tuple[str, ...],
        settings: tuple[str, ...],
        env_files: tuple[str, ...],
        **others: Any,
    ) -> int:
        if files and (argument := _absent(others)):
            others[argument] = (files[0],) if argument == "specs" else files[0]
            files = files[1:]
        layering = Layering(
            files=files, variables=variables, settings=settings, env_files=env_files
        )
        return command(layering=layering, **others)

    for option in reversed(_LAYERS):
        layered = option(layered)
    return layered


def _absent(arguments: Mapping[str, object]) -> str:
    """Return the name of the argument for specs if none was given."""
    context = click.get_current_context()
    for name in ("spec", "specs"):
        if name in arguments:
            given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            return "" if given and arguments[name] else name
    return ""


_SELECTION = (
    click.argument(
        "words", nargs=-1, metavar="[SPEC] [JOB]...", shell_complete=completing.specs_and_jobs
    ),
    click.option(
        "--tags",
        multiple=True,
        metavar="TAG",
        help="Jobs with this tag, too, and what they need (repeatable, or with commas).",
        shell_complete=completing.tags,
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="JOB",
        help="Leave this job out (repeatable, or with commas).",
        shell_complete=completing.spec_jobs,
    ),
)


def selection_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the arguments and options; it gets them as `spec` and `chosen`.

    It stands above `layer_options`, by which the first `-f` may be the spec.
    """

    @functools.wraps(command)
    def selected(
        *, words: tuple[str, ...], tags: tuple[str, ...], skip: tuple[str, ...], **others: Any
    ) -> int:
        spec = DEFAULT_SPEC
        for word in words:
            require_no_python(word)
        if words and is_spec(words[0]):
            spec, *words_left = words
            source = ParameterSource.COMMANDLINE
        else:
            words_left, source = list(words), ParameterSource.DEFAULT
            _check_default(words_left, others.get("files", ()))
        if another := [word for word in words_left if is_path(word)]:
            hint = "-f lays a file over the spec; `mporch validate` takes several"
            raise UsageError(f"{another[0]} is a second spec, or no job", hint=hint)
        click.get_current_context().set_parameter_source("spec", source)
        jobs = once(words_left, "a job")
        chosen = Words(jobs=jobs, tags=once(tags, "a tag"), skip=once(skip, "a job"))
        return command(spec=spec, chosen=chosen, **others)

    for option in reversed(_SELECTION):
        selected = option(selected)
    return selected


def _check_default(words: list[str], files: Iterable[str]) -> None:
    """Raise UsageError if `words` are jobs of no spec: the first one was meant to be a file."""
    if words and not files and not is_there(DEFAULT_SPEC):
        raise UsageError(
            f"there is no file {words[0]}, and no {DEFAULT_SPEC} of which it could be a job",
            hint="name the path of a spec; `mporch init` writes one that runs",
        )
