"""`mporch dead show`: all that is known of dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.console.options import format_option, letters_argument
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.features.deadletters.choice import Choice
    from orchestrator.runlog.letters import Letter

__all__ = ["show"]

_EPILOG = """\b
Examples:
  mporch dead show 3
  mporch dead show last 3 5-8
  mporch dead show 3 --format json | jq '.[0].value'
"""


@click.command(short_help="Show all of a letter, its item too.", epilog=_EPILOG)
@letters_argument
@format_option
def show(run_and_numbers: tuple[str, ...], format: str) -> int:  # noqa: A002 -- the option's name
    """Show letters of RUN by their numbers: job, error, traceback, and the item.

    None of your code is run: an object of a class of yours is shown by the name of the class, with
    what was pickled of it. The exit code is 1 if any of what is kept is damaged.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415 -- not for --help
    from orchestrator.features.deadletters.opening import Opener, OpenRequest  # noqa: PLC0415
    from orchestrator.features.deadletters.telling import (  # noqa: PLC0415
        data_of,
        open_item,
        paper,
        tell_damages,
        view_of,
    )

    choice = choose(run_and_numbers)
    letters = _chosen(choice)
    with Opener() as opener:
        if format == "json":
            import json  # noqa: PLC0415

            data = []
            for letter in letters:
                opened = open_item(choice, letter, opener, OpenRequest.JSON)
                data.append(data_of(choice, letter, opened))
            print(json.dumps(data, indent=2))
            return tell_damages(choice, letters)
        from orchestrator.features.deadletters.letter_views import render_letter  # noqa: PLC0415

        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.TEXT)
            view = view_of(letter, choice.replayed[letter.letter], opened)
            print(render_letter(view, paper()), end="")
    return tell_damages(choice, letters)


def _chosen(choice: Choice) -> tuple[Letter, ...]:
    """Return the letters that were named; the only one of a run need not be."""
    choice.require()
    if choice.named or len(choice.letters) == 1:
        return choice.named or choice.letters
    hint = f"`mporch dead list {choice.run_name}` lists its {len(choice.letters)}"
    raise UsageError("which letter? give its number", hint=hint)
