"""`mporch dead`: the dead letters of a run; one file a command."""

from __future__ import annotations

from collections.abc import Collection

import click

from orchestrator.console.elsewhere import OF_DEAD
from orchestrator.console.groups import Group
from orchestrator.features.deadletters.debug_command import debug
from orchestrator.features.deadletters.exporting import export
from orchestrator.features.deadletters.listing import list_letters
from orchestrator.features.deadletters.replay_command import replay
from orchestrator.features.deadletters.showing import show

__all__ = ["dead"]

_EPILOG = """\b
Examples:
  mporch dead list
  mporch dead show 3
  mporch dead debug 3 --pdb
  mporch dead replay --all
"""


class _OfLetters(Group):
    """The commands of `dead`."""

    elsewhere = OF_DEAD

    def hint_for(self, name: str, known: Collection[str]) -> str:
        """Return what to say to someone who wrote `name`: it may be the number of a letter."""
        if name[:1].isdecimal() and "T" not in name:
            return f"To show a letter: mporch dead show {name}"
        return super().hint_for(name, known)


@click.group(cls=_OfLetters, epilog=_EPILOG)
def dead() -> None:
    """Items that used up their attempts, and that `on_error: dead_letter` took out of a run.

    They are kept in the run's directory and numbered from 1. RUN is last (the default), an id of
    `mporch runs`, the beginning of one, or the path of a run directory; a number, or 3-7, is
    always that of a letter.
    """


for _command in (list_letters, show, debug, replay, export):
    dead.add_command(_command)
