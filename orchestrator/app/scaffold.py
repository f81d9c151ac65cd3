"""A project to begin with: a spec, its functions and their test, from a template."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.files import is_there
from orchestrator.spec.schema import spec_schema
from orchestrator.spec.wording import listed

__all__ = ["SCHEMA_NAME", "TEMPLATES", "write_project"]

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
