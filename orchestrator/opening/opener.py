"""Opener: has items opened by a child that cannot run what is in them.

Called in the parent, which never unpickles.
"""

from __future__ import annotations

import base64
import enum
import json
import os
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from orchestrator.engine.node.child_program import LineProgram
from orchestrator.files import PACKAGE

__all__ = ["ItemPlace", "OpenRequest", "OpenedAs", "OpenedItem", "Opener", "confined"]

_ROOT = str(Path(PACKAGE).parent)
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from {} import main; main()"
_LONGEST_S = 20.0


def confined(module: str, *, timeout_s: float = _LONGEST_S) -> LineProgram:
    """Return a child that runs `main` of a module of ours, and sees the standard library only."""
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM.format(module), _ROOT]
    return LineProgram(command, timeout_s=timeout_s)


class OpenRequest(enum.Enum):
    """What of an item is wanted: text, JSON (text where it cannot be that), its pickle."""

    TEXT = "text"
    JSON = "json"
    PICKLE = "pickle"


class OpenedAs(enum.Enum):
    """What could be had."""

    JSON = "json"
    REPR = "repr"
    PICKLE = "pickle"
    UNREADABLE = "unreadable"


class ItemPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where an item is: at `index` of a chunk's file, itself or, if `packed`, pickled there."""

    path: Path
    index: int
    packed: bool


class OpenedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as JSON or text, or in words why it could not be read; or its `pickled` bytes."""

    kind: OpenedAs
    text: str = ""
    pickled: bytes = b""


class Opener:
    """Opens items one by one; a context manager.

    The child sees nothing but the standard library, and has 1 GiB of memory, and 10 s for an item;
    one that takes more is unreadable, and costs no other item.
    """

    def __init__(self) -> None:
        self._program = confined("orchestrator.opening.child")

    def __enter__(self) -> Opener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._program.end()

    def open(self, place: ItemPlace, want: OpenRequest, *, limit: int = 2000) -> OpenedItem:
        """Return what is wanted of the item; text has `limit` characters at most."""
        request = {
            "path": os.fspath(place.path),
            "index": place.index,
            "packed": place.packed,
            "want": want.value,
            "limit": limit,
        }
        answer = self._program.ask(json.dumps(request).encode("ascii"))
        if answer is None:
            reason = "to read it took more memory or time than it may"
            return OpenedItem(kind=OpenedAs.UNREADABLE, text=reason)
        found = json.loads(answer)
        kind, value = OpenedAs(found["is"]), found["value"]
        if kind is OpenedAs.PICKLE:
            return OpenedItem(kind=kind, pickled=base64.b64decode(value))
        return OpenedItem(kind=kind, text=value)
