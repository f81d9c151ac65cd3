"""Has the items of dead letters opened by a child that cannot run what is in them.

Called in the parent, which never unpickles.
"""

from __future__ import annotations

import base64
import enum
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import msgspec

from orchestrator.files import PACKAGE

__all__ = ["ItemPlace", "OpenRequest", "OpenedAs", "OpenedItem", "Opener"]

_ROOT = str(Path(PACKAGE).parent)
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from orchestrator.features.deadletters.opening_child import main; main()"
)
_LONGEST_S = 20.0
_PIECE_BYTES = 1 << 16


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
    """Where an item is: at `index` of a chunk's file, itself or, if `packed`, its pickle."""

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
        self._child: subprocess.Popen[bytes] | None = None
        self._read = bytearray()

    def __enter__(self) -> Opener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end()

    def open(self, place: ItemPlace, want: OpenRequest, *, limit: int = 2000) -> OpenedItem:
        """Return what is wanted of the item; text has `limit` characters at most."""
        request = {
            "path": os.fspath(place.path),
            "index": place.index,
            "packed": place.packed,
            "want": want.value,
            "limit": limit,
        }
        answer = self._ask(json.dumps(request).encode("ascii") + b"\n")
        if answer is None:
            self._end()
            reason = "to read it took more memory or time than it may"
            return OpenedItem(kind=OpenedAs.UNREADABLE, text=reason)
        found = json.loads(answer)
        kind, value = OpenedAs(found["is"]), found["value"]
        if kind is OpenedAs.PICKLE:
            return OpenedItem(kind=kind, pickled=base64.b64decode(value))
        return OpenedItem(kind=kind, text=value)

    def _ask(self, request: bytes) -> bytes | None:
        """Return the answer; None if the child has died, or is to die, of the question."""
        child = self._child
        if child is None:
            child = self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                bufsize=0,
            )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(request)
        except BrokenPipeError:
            return None
        return self._line(child.stdout.fileno(), time.monotonic() + _LONGEST_S)

    def _line(self, fd: int, deadline: float) -> bytes | None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            end = self._read.find(b"\n")
            if end >= 0:
                line = bytes(self._read[:end])
                del self._read[: end + 1]
                return line
            wait_s = max(0.0, deadline - time.monotonic())
            if not poll.poll(wait_s * 1000) or not (data := os.read(fd, _PIECE_BYTES)):
                return None
            self._read += data

    def _end(self) -> None:
        """Have the child end; a new one is made when one is needed."""
        child, self._child = self._child, None
        self._read.clear()
        if child is not None:
            with child:
                child.kill()
