"""`mporch init`: write a project to begin with."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from orchestrator.console.printing import say, tell
from orchestrator.errors import UsageError
from orchestrator.files import is_there
from orchestrator.spec.schema import spec_schema
from orchestrator.spec.wording import listed

__all__ = ["SCHEMA_NAME", "TEMPLATES", "init", "write_project"]

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
    from orchestrator.cli.init import write_project  # noqa: PLC0415 -- brings the spec's model

    place = Path(folder)
    for name in write_project(template, place):
        say(str(place / name))
    there = "" if place == Path() else f"cd {shlex.quote(folder)} && "
    tell(f"run it:  {there}mporch run")
    tell(f"test it: {there}mporch test, or python -m unittest")


TEMPLATES = ("source-map-sink", "handles", "tasks", "images", "web")

SCHEMA_NAME = "jobs.schema.json"


def write_project(template: str, folder: Path) -> tuple[str, ...]:
    """Write the files of a template into `folder`, made if need be; return their names, sorted.

    Nothing is overwritten: raises UsageError, before anything is written, if one of them is there,
    or if the folder cannot be written.
    """
    texts = {source.name: source.read_text("utf-8") for source in _sources(template)}
    texts[SCHEMA_NAME] = f"{json.dumps(spec_schema(), indent=2)}\n"
    there = sorted(name for name in texts if is_there(folder / name))
    if there:
        raise UsageError(
            f"{listed(there, last='and')} already exist{'s' if len(there) == 1 else ''}"
            f" in {folder.absolute()}",
            hint="name a new folder: mporch init FOLDER",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from None
    return tuple(sorted(texts))


def _sources(template: str) -> list[Traversable]:
    folder = files("orchestrator.app") / "templates" / template
    return [entry for entry in folder.iterdir() if entry.is_file()]
