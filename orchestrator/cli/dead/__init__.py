"""`mporch dead`: the dead letters of a run; one file a command."""

from __future__ import annotations

import click

from orchestrator.cli.dead.debugging import debug
from orchestrator.cli.dead.exporting import export
from orchestrator.cli.dead.listing import list_letters
from orchestrator.cli.dead.replaying import replay
from orchestrator.cli.dead.showing import show

__all__ = ["dead"]

_EPILOG = """\b
Examples:
  mporch dead list
  mporch dead show 3
  mporch dead debug 3 --pdb
  mporch dead replay --all
"""


@click.group(epilog=_EPILOG)
def dead() -> None:
    """Items that used up their attempts, and that `on_error: dead_letter` took out of a run.

    They are kept in the run's directory and numbered from 1. RUN is last (the default), an id of
    `mporch runs`, the beginning of one, or the path of a run directory; a number, or 3-7, is
    always that of a letter.
    """


for _command in (list_letters, show, debug, replay, export):
    dead.add_command(_command)
