"""`mporch init`: write a project to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from orchestrator.console.printing import say, tell

__all__ = ["init"]

_EPILOG = """\b
Templates:
  source-map-sink  a source, two workers, a sink
  handles          functions that get and put
  tasks            no queues: steps one after another
  images           large items, batches, limits
  web              timeouts, retries, a server

\b
Examples:
  mporch init
  mporch init thumbnails --template images
"""


@click.command(epilog=_EPILOG)
@click.argument("folder", default=".", metavar="[FOLDER]", type=click.Path(file_okay=False))
@click.option(
    "--template",
    type=click.Choice(["source-map-sink", "handles", "tasks", "images", "web"]),
    default="source-map-sink",
    show_default=True,
    help="What kind of pipeline.",
)
def init(folder: str, template: str) -> None:
    """Write a spec, its functions, their test and the spec's JSON Schema into FOLDER (here).

    It runs and its test passes as it is, without a network and with nothing but mporch installed.
    No file is overwritten.
    """
    from orchestrator.app.scaffold import write_project  # noqa: PLC0415 -- brings the spec's model

    place = Path(folder)
    for name in write_project(template, place):
        say(str(place / name))
    there = "" if place == Path() else f"cd {shlex.quote(folder)} && "
    tell(f"run it:  {there}mporch run")
    tell(f"test it: {there}mporch test, or python -m unittest")
