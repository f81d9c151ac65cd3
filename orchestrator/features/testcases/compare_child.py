"""Looks at the items of a case, which only the user's own code can make sense of.

Called in the child of `compare`'s keeper: a process of its own, with the paths of a worker.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from orchestrator.engine.node.child import enter_surroundings
from orchestrator.engine.node.keeper import keep
from orchestrator.features.testcases.asked import Dead, Request
from orchestrator.features.testcases.differences import differences
from orchestrator.files import open_regular

__all__ = ["main"]


class _Unreadable:
    """Stands for an item that cannot be unpickled; it equals nothing."""

    def __init__(self, error: BaseException) -> None:
        self._why = f"{type(error).__name__}: {error}"

    def __repr__(self) -> str:
        return f"<cannot be unpickled: {self._why}>"


def main(asked: int, answer: int) -> NoReturn:
    """Read the request from the file `asked`, and write all differences to `answer`.

    Ends the process at once: what the items' modules have begun is not waited for.
    """
    with os.fdopen(asked, "rb") as file:
        request = pickle.loads(file.read())
    assert isinstance(request, Request)
    roots = (*request.pythonpath, request.project_dir)
    enter_surroundings("compare", (), request.project_dir, roots)
    queues, jobs = _recorded(request.recorded), _dead(request.dead)
    found = [
        each
        for ask in request.asks
        for each in differences(ask, (jobs if ask.dead else queues)[ask.name])
    ]
    os.write(answer, msgspec.json.encode(found))
    os._exit(0)


def _recorded(path: str) -> dict[str, list[Any]]:
    """The items of each queue, in the order in which they came."""
    found: dict[str, list[Any]] = defaultdict(list)
    if path:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            for line in file:
                head = json.loads(line)
                part = slice(head["start"], head["stop"])
                items = _items(file.read(head["size"]), packed=head["packed"], part=part)
                found[head["queue"]] += items
    return found


def _dead(letters: tuple[Dead, ...]) -> dict[str, list[Any]]:
    """The items of each job's dead letters."""
    found: dict[str, list[Any]] = defaultdict(list)
    for letter in letters:
        with os.fdopen(open_regular(letter.path, os.O_RDONLY), "rb") as file:
            part = slice(letter.index, letter.index + 1)
            found[letter.job] += _items(file.read(), packed=letter.packed, part=part)
    return found


def _items(blob: bytes, *, packed: bool, part: slice) -> Iterator[Any]:
    for item in pickle.loads(blob)[part]:
        yield _unpacked(item) if packed else item


def _unpacked(pickled: bytes) -> Any:
    try:
        return pickle.loads(pickled)
    except Exception as error:  # noqa: BLE001 -- __setstate__ is anybody's code
        return _Unreadable(error)


if __name__ == "__main__":
    parent, *files = map(int, sys.argv[1:])
    keep(parent, lambda: main(*files))
