"""A command: a program that a job runs in the place of a function."""

from __future__ import annotations

import msgspec

from orchestrator.choices import CommandInput, CommandOutput

__all__ = ["Command", "CommandInput", "CommandOutput"]


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """A program in the place of a function: `line` is text for /bin/sh, or program and arguments.

    `{item}` in it stands for the item. `text` is how it is told to people: short, and without what
    came from the environment. `values` are the variables that the shell is given, beside those of
    the item. It has succeeded if it ends with one of `exit_codes`. `tty`: what is logged of it is
    written to a terminal.
    """

    line: str | tuple[str, ...]
    text: str
    values: tuple[tuple[str, str], ...] = ()
    stdin: CommandInput = CommandInput.NONE
    stdout: CommandOutput = CommandOutput.LOG
    exit_codes: tuple[int, ...] = (0,)
    tty: bool = False

    def __str__(self) -> str:
        return self.text
