"""Output of commands: text that is harmless to a terminal, and JSON in ASCII."""

from __future__ import annotations

import click

from orchestrator.views.text import escaped

__all__ = ["print_json", "say", "tell"]


def print_json(value: object) -> None:
    """Print data on standard output; what is not ASCII is escaped, whatever was in it."""
    import json  # noqa: PLC0415 -- not for --help

    import msgspec  # noqa: PLC0415

    print(json.dumps(msgspec.to_builtins(value), indent=2))


def say(line: str) -> None:
    """Print a line on standard output."""
    print(escaped(line))


def tell(line: str) -> None:
    """Print a line on standard error."""
    click.echo(escaped(line), err=True)
