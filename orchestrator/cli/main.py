"""The group of all commands. Each command is imported when it is asked for."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import click

from orchestrator._version import __version__
from orchestrator.cli.completion import VARIABLE, complete
from orchestrator.console.exits import exit_code_of
from orchestrator.console.groups import COMMANDS, Group, hint_for_option
from orchestrator.console.printing import tell
from orchestrator.errors import UsageError
from orchestrator.files import is_file

__all__ = ["command_line", "mporch"]


_NO_OPTIONS = frozenset({"MPORCH_HOME", "MPORCH_ON", "MPORCH_TRUST", "MPORCH_TEST", "MPORCH_FAULT"})
"""The variables that are those of no option."""
_OF_FEATURES = {
    "dead": "features.deadletters.command",
    "doctor": "features.doctor.command",
    "graph": "features.graph.command",
    "stack": "features.live.stack",
    "stop": "features.live.stop",
    "tap": "features.live.tap",
    "test": "features.testcases.command",
    "top": "features.live.top",
}
"""The commands that are features of their own, each in the feature's folder."""
_EMPTY_OPTION = re.compile(r"--[a-z-]+=")
_PREFIX = "MPORCH"
_WIDEST = 80
_NEAR = 0.85
"""How like a known name another must be: a user may have variables of any name."""


class _Commands(Group):
    """A group whose commands lie in modules of their own, in groups by what one is about."""

    elsewhere = COMMANDS
    groups: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "Run": {
            "run": "Run a pipeline.",
            "resume": "Go on with a durable run.",
            "test": "Run the tests in a spec.",
        },
        "Look at what was run": {
            "runs": "List the runs of this project.",
            "show": "Show how a run went.",
            "logs": "Read or follow the log of a run.",
            "dead": "Look at dead letters and feed them back.",
        },
        "A run that goes on": {
            "top": "Show how a run goes.",
            "tap": "Show items as they come onto a queue.",
            "stack": "Show where each worker is in its code.",
            "stop": "End a run, and wait for its end.",
        },
        "Specs": {
            "validate": "Check specs; runs none of your code.",
            "plan": "Show what would run, and how it is wired.",
            "graph": "Draw jobs and queues.",
            "explain": "Tell what the code of a problem means.",
            "schema": "Print the JSON Schema of a spec.",
            "init": "Write a project to begin with.",
        },
        "This machine": {
            "doctor": "Examine this machine.",
            "completion": "Let your shell complete commands.",
        },
    }
    """What each does, in a few words: help shows them without an import of the commands."""
    helps: ClassVar[Mapping[str, str]] = {
        name: words for group in groups.values() for name, words in group.items()
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self.helps)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 -- click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in self.helps:
            return None
        place = _OF_FEATURES.get(cmd_name, f"cli.{cmd_name}")
        module = importlib.import_module(f"orchestrator.{place}")
        command: click.Command = getattr(module, cmd_name)
        command.short_help = self.helps[cmd_name]
        _name_options(command, cmd_name)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 -- click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        widest = max(map(len, self.helps))
        for title, group in self.groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), words) for name, words in group.items()])

    def hint_for(self, name: str, known: Collection[str]) -> str:
        """Return what to say to someone who wrote `name`: it may be that of a spec."""
        if name.endswith((".yaml", ".yml")) or is_file(name):
            return f"To run that spec: mporch run {name}"
        return super().hint_for(name, known)


def _show_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        from orchestrator import compiled  # noqa: PLC0415 -- not for --help

        python = ".".join(map(str, sys.version_info[:3]))
        form = compiled.form_in_words(compiled.form())
        click.echo(f"mporch {__version__}, {form}, Python {python}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Begin with:
  mporch init                     a project that runs
  mporch validate jobs.yaml       is the spec right?
  mporch plan jobs.yaml           what would run?
  mporch run jobs.yaml            run it
  mporch show last                how did it go?
  mporch logs last --level error  what went wrong?

A smallest jobs.yaml, beside a file mine.py with two functions: numbers, which yields items, and
work, which is called with each.

\b
  version: 1
  queues: {todo: 100}
  jobs:
    numbers: {target: "mine:numbers", output: todo}
    work: {target: "mine:work", input: todo}

Each option can be set in the environment: MPORCH_RUN_OUTPUT=raw is `run --output raw`.
MPORCH_HOME is where runs are kept instead of .mporch; MPORCH_TRUST names folders of other users
whose runs may be run; MPORCH_ON=agent has workers live with an agent; NO_COLOR turns colours off.
""",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def mporch() -> None:
    """Run pipelines of processes from one YAML file.

    A spec, jobs.yaml, names Python functions and the bounded queues between them. mporch runs
    them as processes side by side, stops them by your policy, and writes one log. Every item
    is accounted for, no process is left behind, and no run hangs.
    """


def command_line(args: list[str]) -> int:
    """Run `mporch` with `args` and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    return exit_code_of(lambda: _invoke(args))


def _invoke(args: list[str]) -> object:
    if asked := os.environ.get(VARIABLE):
        return complete(mporch, asked)
    _check_words(args)
    _warn_of_variables()
    try:
        with mporch.make_context("mporch", args, terminal_width=_width()) as ctx:
            return mporch.invoke(ctx)
    except click.NoSuchOption as error:
        raise _naming_ours(error) from None


def _width() -> int:
    """Return how wide help is: as click has it, which would import shutil to ask."""
    columns = os.environ.get("COLUMNS", "")
    try:
        wide = int(columns) if columns.isdecimal() else 0
        wide = wide or os.get_terminal_size(1).columns
    except (OSError, ValueError):  # no terminal
        wide = 0
    return max(min(wide or _WIDEST, _WIDEST) - 2, 50)


def _warn_of_variables() -> None:
    """Tell of variables of the environment that are nearly one of mporch's."""
    names = [name for name in os.environ if name.startswith(f"{_PREFIX}_")]
    if set(names) <= _NO_OPTIONS:
        return  # the commands need not be imported
    known, ctx = set(_NO_OPTIONS), click.Context(mporch)
    for each in mporch.list_commands(ctx):
        command = mporch.get_command(ctx, each)
        known |= set(_named(command)) if command is not None else set()
    for name, near in _misspelt(names, known):
        tell(f"mporch: warning: {name} means nothing to mporch; did you mean {near}?")


def _name_options(command: click.Command, *words: str) -> None:
    """Give each option of a command, and of those below it, the variable of its long name.

    `words` lead to the command: `dead`, `list`. An option that has a variable for all commands
    keeps it; its own comes first.
    """
    from orchestrator.console.words import variables_of  # noqa: PLC0415 -- not for --help

    for param in command.params:
        if isinstance(param, click.Option):
            longest = max(param.opts, key=len)
            words_of_option = longest.lstrip("-").split("-")
            own = "_".join([_PREFIX, *words, *words_of_option]).replace("-", "_").upper()
            shared = [name for name in variables_of(param) if name != own]
            param.envvar = [own, *shared] if shared else own
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            _name_options(below, *words, name)


def _named(command: click.Command) -> Iterator[str]:
    """Yield the variables of the options of a command, and of those below it."""
    from orchestrator.console.words import variables_of  # noqa: PLC0415 -- not for --help

    for param in command.params:
        yield from variables_of(param)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from _named(below)


def _misspelt(names: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each of `names` that is nearly one of `known`, with that one."""
    import difflib  # noqa: PLC0415 -- only for what may be misspelt

    start = f"{_PREFIX}_"
    tails = [name.removeprefix(start) for name in known]
    for name in sorted(set(names) - set(known)):
        tail = name.removeprefix(start)
        if near := difflib.get_close_matches(tail, tails, n=1, cutoff=_NEAR):
            yield name, f"{start}{near[0]}"


def _naming_ours(error: click.NoSuchOption) -> click.NoSuchOption:
    """Add what mporch has for an option of other tools."""
    if error.ctx is None:
        return error
    hint = _hint_for_option(error.option_name, error.ctx)
    if not hint:
        return error
    message = f"{error.message.rstrip('.')}. {hint}"
    return click.NoSuchOption(error.option_name, message, ctx=error.ctx)


def _hint_before_a_command(option: str) -> str:
    if option in ("-V", "-v"):
        return "That is --version"
    import difflib  # noqa: PLC0415 -- only for what may be misspelt

    misspelt = difflib.get_close_matches(option, ("--version", "--help"), cutoff=0.8)
    return "" if misspelt else "The command comes before its options"


def _hint_for_option(option: str, ctx: click.Context) -> str:
    command = ctx.command
    if command is mporch:
        return _hint_before_a_command(option)
    found: list[str] = []
    for param in command.params:
        found += param.opts
        if isinstance(param.type, click.Choice):
            found.append("|".join(list(map(str, param.type.choices))[:2]))
    return hint_for_option(option, command.name or "", found)


def _check_words(args: list[str]) -> None:
    """Raise UsageError for an empty word: it would choose everything, or the default."""
    for before, word in pairwise(["", *args]):
        if word and not _EMPTY_OPTION.fullmatch(word):
            continue
        option = word.rstrip("=") or (before if before.startswith("-") else "")
        what = f"the value of {option}" if option else "an argument"
        raise UsageError(f"{what} is empty", hint="is a variable of the shell not set?")
