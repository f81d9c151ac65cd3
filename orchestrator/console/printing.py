"""Output of commands, harmless to a terminal: text, JSON in ASCII, questions of yes or no."""

from __future__ import annotations

import sys

import click

from orchestrator.views.text import escaped

__all__ = ["is_on_a_terminal", "print_json", "say", "says_yes", "tell"]


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


def is_on_a_terminal() -> bool:
    """True if there is somebody to ask."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _yes_or_no(answer: str) -> bool:
    """Return whether the answer is a yes. Raises click.UsageError, and is asked again, for none."""
    word = answer.strip().casefold()
    if word in ("y", "yes", "n", "no"):
        return word.startswith("y")
    raise click.UsageError("answer y for yes or n for no; nothing is no")


def says_yes(question: str) -> bool:
    """Ask; the end of the input (Ctrl-D) is a no."""
    try:
        text = f"{question} [y/N]"
        return bool(
            click.prompt(text, default="n", show_default=False, err=True, value_proc=_yes_or_no)
        )
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):  # Ctrl-C
            raise
        click.echo(err=True)  # the question's line is still open
        return False
