"""Names items, in a process that may do nothing else: what a worker died at may be anything.

Called in the child of `item_namer`: requests come in on standard input, a line each, and are
answered in turn on standard output. Standard library only.
"""

from __future__ import annotations

import base64
import json
import pickle
import sys
from typing import Any

from orchestrator.item_names import name_of
from orchestrator.restricted import confine, limit_cpu, safe_loads
from orchestrator.worker.blocks import item_at

__all__ = ["answer", "main"]

_CPU_S = 2


def main() -> None:
    """Answer requests until there are no more."""
    confine()
    for line in sys.stdin:
        limit_cpu(_CPU_S)
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def answer(request: dict[str, Any]) -> str:
    """Return the name of an item of a chunk."""
    try:
        items = safe_loads(base64.b64decode(request["chunk"]))
        if type(items) is not list:
            raise pickle.UnpicklingError("the chunk is no list")
        item, packed = item_at(items, request["index"], safe_loads, packed=request["packed"])
    except Exception as error:  # noqa: BLE001 - the bytes may be anything, and so what they raise
        return f"(no name: {type(error).__name__})"
    return name_of(item, request["template"], packed=packed)
