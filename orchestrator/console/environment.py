"""Names of options in the environment: `MPORCH_RUN_ENV_FILE` is `run --env-file`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator

import click

__all__ = ["PREFIX", "LineByLine", "misspelt", "name_options", "named"]

PREFIX = "MPORCH"
_NEAR = 0.85
"""How like a known name another must be: a user may have variables of any name."""


class LineByLine(click.types.StringParamType):
    """Text of which the environment holds one a line: it may have blanks in it."""

    envvar_list_splitter = "\n"


def name_options(command: click.Command, *words: str) -> None:
    """Give each option of a command, and of those below it, the variable of its long name.

    `words` lead to the command: `dead`, `list`.
    """
    for param in command.params:
        if isinstance(param, click.Option):
            longest = max(param.opts, key=len)
            words_of_option = longest.lstrip("-").split("-")
            param.envvar = "_".join([PREFIX, *words, *words_of_option]).replace("-", "_").upper()
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            name_options(below, *words, name)


def named(command: click.Command) -> Iterator[str]:
    """Yield the variables of the options of a command, and of those below it."""
    for param in command.params:
        if isinstance(param.envvar, str):
            yield param.envvar
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from named(below)


def misspelt(names: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each of `names` that is nearly one of `known`, with that one."""
    start = f"{PREFIX}_"
    tails = [name.removeprefix(start) for name in known]
    for name in sorted(set(names) - set(known)):
        tail = name.removeprefix(start)
        if near := difflib.get_close_matches(tail, tails, n=1, cutoff=_NEAR):
            yield name, f"{start}{near[0]}"
