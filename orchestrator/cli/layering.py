"""Options that lay values over a spec, shared by the commands that read one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

__all__ = ["NOTHING_LAID_OVER", "Layering", "env_file_option", "layer_options"]


@dataclass(frozen=True, kw_only=True)
class Layering:
    """What the user gave: `--var name=value`, `--set key.key=value`, files of variables."""

    variables: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()


NOTHING_LAID_OVER = Layering()

env_file_option = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="Read variables for ${NAME} from lines NAME=value; the environment goes first.",
)

_OPTIONS = (
    click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a value under vars (repeatable).",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
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
        variables: tuple[str, ...],
        settings: tuple[str, ...],
        env_files: tuple[str, ...],
        **others: Any,
    ) -> int:
        layering = Layering(variables=variables, settings=settings, env_files=env_files)
        return command(layering=layering, **others)

    for option in reversed(_OPTIONS):
        layered = option(layered)
    return layered
