"""Names of options in the environment: `MPORCH_RUN_ENV_FILE` is `run --env-file`."""

from __future__ import annotations

import click

__all__ = ["PREFIX", "LineByLine", "name_options"]

PREFIX = "MPORCH"


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
