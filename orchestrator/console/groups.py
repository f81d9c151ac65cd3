"""A group of commands that says what was meant by one that it does not have."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import ClassVar

import click

__all__ = ["Group"]


class Group(click.Group):
    """A group; `elsewhere` has words of other tools, and what to say to them."""

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what was probably meant."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        written = " ".join([*ctx.command_path.split()[1:], name])
        hint = self.hint_for(name, known)
        raise click.UsageError(f"There is no command {written!r}. {hint}", ctx)

    def hint_for(self, name: str, known: Collection[str]) -> str:
        """Return what to say to someone who wrote `name`, which is none of the `known`."""
        if (meant := self.elsewhere.get(name)) is not None:
            return meant
        if close := difflib.get_close_matches(name, known, n=1):
            return f"Did you mean {close[0]}?"
        return f"The commands are {', '.join(known)}."
