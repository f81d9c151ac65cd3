"""Names items, in a process that may do nothing else: what a worker died at may be anything.

Called in the child of `item_namer`: requests come in on standard input, a line each, and are
answered in turn on standard output. Standard library only.
"""

from __future__ import annotations

import base64
from typing import Any

from orchestrator.item_names import name_of
from orchestrator.opening.child import items_of, serve
from orchestrator.restricted import safe_loads
from orchestrator.worker.blocks import item_at

__all__ = ["answer", "main"]


def main() -> None:
    """Answer requests until there are no more."""
    serve(answer)


def answer(request: dict[str, Any]) -> str:
    """Return the name of an item of a chunk."""
    try:
        items = items_of(base64.b64decode(request["chunk"]))
        item, packed = item_at(items, request["index"], safe_loads, packed=request["packed"])
    except Exception as error:  # noqa: BLE001 - the bytes may be anything, and so what they raise
        return f"(no name: {type(error).__name__})"
    return name_of(item, request["template"], packed=packed)
