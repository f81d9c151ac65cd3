"""Options that lay values over a spec, shared by the commands that read one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from orchestrator.console import completing
from orchestrator.console.environment import LineByLine

__all__ = ["NOTHING_LAID_OVER", "Layering", "env_file_option", "layer_options"]


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

_OPTIONS = (
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

    for option in reversed(_OPTIONS):
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
