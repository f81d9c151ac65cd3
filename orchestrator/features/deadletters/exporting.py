"""`mporch dead export`: dead letters for other programs."""

from __future__ import annotations

import os
import pickle
import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from orchestrator.console.options import letters_argument
from orchestrator.console.printing import tell
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.features.deadletters.choice import Choice
    from orchestrator.runlog.letters import Letter

__all__ = ["export"]

_EPILOG = """\b
Examples:
  mporch dead export | jq .value
  mporch dead export last 3 5-8 -o letters.jsonl
  mporch dead export --format pickle -o letters.pickle
"""
_LONGEST_REPR = 1_000_000


@click.command(short_help="Write letters for other programs.", epilog=_EPILOG)
@letters_argument
@click.option("-o", "--to", "file", metavar="FILE", help="Write a new FILE; else standard output.")
@click.option(
    "--format",
    type=click.Choice(["jsonl", "pickle"]),
    default="jsonl",
    show_default=True,
    help="A JSON object a line, or one pickle of a list of the items' own pickles.",
)
def export(run_and_numbers: tuple[str, ...], file: str | None, format: str) -> int:  # noqa: A002 -- the option's name
    """Write letters of RUN, all unless some are named, with their items.

    jsonl: `value` is the item if `item_is` is json, else how Python would write it (repr), or why
    it could not be read (unreadable). pickle: a list of bytes, each an item as it was pickled. None
    of your code is run. The exit code is 1 if any of what is kept is damaged.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415 -- not for --help
    from orchestrator.features.deadletters.telling import tell_damages  # noqa: PLC0415

    choice = choose(run_and_numbers)
    choice.require()
    letters = choice.named or choice.letters
    if format == "pickle" and file is None and sys.stdout.isatty():
        raise UsageError("a pickle is not for a terminal", hint="name a file: -o letters.pickle")
    with _opened(file) as out:
        (_write_lines if format == "jsonl" else _write_pickle)(choice, letters, out)
    if file is not None:
        many = f"{len(letters)} letter{'' if len(letters) == 1 else 's'}"
        tell(f"mporch: wrote {many} to {file}")
    return tell_damages(choice, letters)


def _opened(file: str | None) -> BinaryIO:
    """Open a file that was not there before; letters are nobody else's to read."""
    if file is None or file == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already", hint="name a new file") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    return os.fdopen(fd, "wb")


def _write_lines(choice: Choice, letters: tuple[Letter, ...], out: BinaryIO) -> None:
    import json  # noqa: PLC0415 -- not for --help

    from orchestrator.features.deadletters.opening import Opener, OpenRequest  # noqa: PLC0415
    from orchestrator.features.deadletters.telling import data_of, open_item  # noqa: PLC0415

    with Opener() as opener:
        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.JSON, limit=_LONGEST_REPR)
            data = data_of(choice, letter, opened)
            out.write(json.dumps(data).encode("ascii") + b"\n")


def _write_pickle(choice: Choice, letters: tuple[Letter, ...], out: BinaryIO) -> None:
    """Write the items' pickles byte for byte; one that cannot be read is an error."""
    from orchestrator.features.deadletters.opening import OpenedAs, Opener, OpenRequest  # noqa: PLC0415
    from orchestrator.features.deadletters.telling import open_item  # noqa: PLC0415

    pickles = []
    with Opener() as opener:
        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.PICKLE)
            if opened.kind is not OpenedAs.PICKLE:
                raise UsageError(
                    f"letter {letter.letter} cannot be read: {opened.text}",
                    hint="name the others, or --format jsonl",
                )
            pickles.append(opened.pickled)
    out.write(pickle.dumps(pickles, 4))
