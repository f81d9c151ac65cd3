"""The source of a replay: emits the items of dead letters.

Called in the child: it is the target of a job that `mporch dead replay` adds to a plan.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.files import open_regular
from orchestrator.worker.blocks import load_row

__all__ = ["Sealed", "letters"]


class Sealed:
    """An item that is unpickled not here but by its reader.

    If that fails there, it is this item's failure and no other's.
    """

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self._pickled,)


def letters(directory: str, chunks: Sequence[tuple[str, bool, Sequence[int]]]) -> Iterator[Any]:
    """Yield items of the chunks in `directory`.

    Each chunk is the name of its file, whether its items are pickled, one by one or in blocks, and
    the indices of those that are wanted.
    """
    for name, packed, indices in chunks:
        with os.fdopen(open_regular(Path(directory, name), os.O_RDONLY), "rb") as file:
            items = pickle.load(file)
        loaded = load_row(items) if packed else None
        for index in indices:
            if loaded is not None:
                yield loaded[index]
            else:
                yield Sealed(items[index]) if packed else items[index]
