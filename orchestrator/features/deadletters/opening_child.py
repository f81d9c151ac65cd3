"""Opens the items of dead letters, in a process that may do nothing else.

Called in the child of `opening`: requests come in on standard input, a line each, and are answered
in turn on standard output. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import resource
import sys
import time
from typing import Any

from orchestrator.features.deadletters.render import json_of, text_of
from orchestrator.features.deadletters.restricted import names_in, safe_loads
from orchestrator.files import open_regular

__all__ = ["main"]

_MEMORY_BYTES = 1 << 30
_CPU_S = 10


def main() -> None:
    """Answer requests until there are no more."""
    _confine()
    chunks = _Chunks()
    for line in sys.stdin:
        limit = int(time.process_time()) + _CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        answer = _answer(chunks, json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _confine() -> None:
    """No more memory than the limit, no file to write, no process to start."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


class _Chunks:
    """The chunk opened last: letters of one follow each other."""

    def __init__(self) -> None:
        self._path = ""
        self._items: list[Any] = []

    def items(self, path: str) -> list[Any]:
        if path != self._path:
            self._items = []
            with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
                found = safe_loads(file.read())
            if type(found) is not list:
                raise pickle.UnpicklingError("the chunk is no list")
            self._path, self._items = path, found
        return self._items


def _answer(chunks: _Chunks, request: dict[str, Any]) -> dict[str, str]:
    """Return what is wanted of an item: `is` says what `value` is."""
    data = b""
    try:
        item = chunks.items(request["path"])[request["index"]]
        if request["packed"]:
            if type(item) is not bytes:
                raise pickle.UnpicklingError("a packed chunk holds something that is no pickle")
            data = item
        if request["want"] == "pickle":
            pickled = data or pickle.dumps(item, 5)
            return {"is": "pickle", "value": base64.b64encode(pickled).decode("ascii")}
        value = safe_loads(data) if request["packed"] else item
        if request["want"] == "json" and (found := json_of(value)) is not None:
            return {"is": "json", "value": found}
        return {"is": "repr", "value": text_of(value, request["limit"])}
    except Exception as error:  # noqa: BLE001 -- the bytes may be anything, and so what they raise
        return {"is": "unreadable", "value": _reason(error, data)}


def _reason(error: Exception, data: bytes) -> str:
    text = f"{type(error).__name__}: {error}"[:500].removesuffix(": ")
    if not data:
        return text
    names = ", ".join(names_in(data)) or "nothing"
    return f"{text} ({len(data):,} bytes that name {names})"
