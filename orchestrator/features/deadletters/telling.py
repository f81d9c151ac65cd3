"""A letter for people and for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.console.printing import tell
from orchestrator.features.deadletters.choice import Choice
from orchestrator.features.deadletters.letter_views import LetterView
from orchestrator.features.deadletters.opening import (
    ItemPlace,
    OpenedAs,
    OpenedItem,
    Opener,
    OpenRequest,
)
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.letters import DEAD_NAME, Letter
from orchestrator.views.tables import Paper
from orchestrator.views.terminal import colours, width_of

__all__ = ["data_of", "open_item", "paper", "place_of", "tell_damages", "view_of"]

_MOST_TOLD = 20


def view_of(
    letter: Letter, replayed: Sequence[str], opened: OpenedItem | None = None
) -> LetterView:
    """Return the letter as views take it, with its item if that was opened."""
    return LetterView(
        letter=letter.letter,
        item=letter.item,
        job=letter.job,
        worker=letter.worker,
        attempts=letter.attempts,
        time=f"{datetime.fromtimestamp(letter.ts, UTC):%Y-%m-%d %H:%M:%S} UTC",
        error=f"{letter.error_type}: {letter.error}".removesuffix(": "),
        where=letter.where,
        traceback=letter.traceback,
        replayed=replayed,
        content=_content(opened) if opened else "",
    )


def _content(opened: OpenedItem) -> str:
    unreadable = opened.kind is OpenedAs.UNREADABLE
    return f"cannot be shown: {opened.text}" if unreadable else opened.text


def data_of(choice: Choice, letter: Letter, opened: OpenedItem | None = None) -> dict[str, Any]:
    """Return a letter as JSON has it.

    `item` is its id; `value`, if it was opened, the item itself.
    """
    moment = datetime.fromtimestamp(letter.ts, UTC).isoformat(timespec="microseconds")
    data = {
        "run": choice.run.run_id,
        "letter": letter.letter,
        "ts": moment.replace("+00:00", "Z"),
        "job": letter.job,
        "worker": letter.worker,
        "item": letter.item,
        "queue": letter.queue,
        "attempts": letter.attempts,
        "error_type": letter.error_type,
        "error": letter.error,
        "where": letter.where,
        "replayed": list(choice.replayed[letter.letter]),
        "damaged": choice.chunks.damage(letter) or None,
    }
    if opened is not None:
        is_json = opened.kind is OpenedAs.JSON
        data["traceback"] = letter.traceback
        data["item_is"] = opened.kind.value
        data["value"] = json.loads(opened.text) if is_json else opened.text
    return data


def open_item(
    choice: Choice, letter: Letter, opener: Opener, want: OpenRequest, *, limit: int = 2000
) -> OpenedItem:
    """Return what is wanted of a letter's item, or why it cannot be had: see `Opener.open`."""
    if damage := choice.chunks.damage(letter):
        return OpenedItem(kind=OpenedAs.UNREADABLE, text=damage)
    return opener.open(place_of(choice.run, letter), want, limit=limit)


def tell_damages(choice: Choice, letters: Sequence[Letter]) -> int:
    """Tell on standard error what is damaged; return the exit code: 1 if anything is."""
    found = choice.damages(letters)
    for damage in found[:_MOST_TOLD]:
        tell(f"mporch: {damage}")
    if len(found) > _MOST_TOLD:
        tell(f"mporch: and {len(found) - _MOST_TOLD} more are damaged")
    return 1 if found else 0


def place_of(run: RunDirectory, letter: Letter) -> ItemPlace:
    """Return where the letter's item is."""
    path = run.path / DEAD_NAME / letter.chunk
    return ItemPlace(path=path, index=letter.index, packed=letter.packed)


def paper() -> Paper:
    """Return what standard output has room for."""
    return Paper(width=width_of(sys.stdout), colour=colours(sys.stdout, os.environ))
