"""Looks at the items of a case, which only the user's own code can make sense of: differences.

Called in the child of `compare`'s keeper: a process of its own, with the paths of a worker.
"""

from __future__ import annotations

import difflib
import json
import os
import pickle
import pprint
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import msgspec

from orchestrator.engine.node.child import enter_surroundings
from orchestrator.engine.node.keeper import answer_once
from orchestrator.features.testcases.compare import (
    CaseQuestion,
    Dead,
    Difference,
    DifferenceLine,
    ExpectedItems,
    Request,
    Sign,
)
from orchestrator.files import open_regular
from orchestrator.plan.matching import matches, unmatched
from orchestrator.worker.blocks import load_row

__all__ = ["differences", "main"]


class _Unreadable:
    """Stands for an item that cannot be unpickled; it equals nothing."""

    def __init__(self, error: BaseException) -> None:
        self._why = f"{type(error).__name__}: {error}"

    def __repr__(self) -> str:
        return f"<cannot be unpickled: {self._why}>"


def main(asked: bytes, answer: int) -> NoReturn:
    """Write all differences to the file `answer`.

    Ends the process at once: what the items' modules have begun is not waited for.
    """
    request = pickle.loads(asked)
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
    items = pickle.loads(blob)
    if packed and (loaded := load_row(items, part.start, part.stop)) is not None:
        yield from loaded
        return
    for item in items[part]:
        yield _unpacked(item) if packed else item


def _unpacked(pickled: bytes) -> Any:
    try:
        return pickle.loads(pickled)
    except Exception as error:  # noqa: BLE001 -- __setstate__ is anybody's code
        return _Unreadable(error)


_MOST_LINES = 60
_SHOWN = 10
_CONTEXT = 2
_WIDTH = 70
_LONGEST = 4_000


def differences(ask: CaseQuestion, items: Sequence[Any]) -> Iterator[Difference]:
    """Yield what is not as wanted."""
    wanted = ask.wanted
    for found in (
        _not_equal(wanted, items),
        _not_these(wanted, items),
        _not_in_it(wanted, items),
        _not_alike(wanted, items),
        _not_so_many(wanted, items),
    ):
        if found is not None:
            message, hint, lines = found
            lines = lines[:_MOST_LINES]
            yield Difference(
                name=ask.name, dead=ask.dead, message=message, hint=hint, lines=tuple(lines)
            )


_Found = tuple[str, str, list[DifferenceLine]] | None


def _not_equal(wanted: ExpectedItems, items: Sequence[Any]) -> _Found:
    if wanted.equals is None or matches(wanted.equals, list(items)):
        return None
    missing, surplus = unmatched(wanted.equals, items)
    if not missing and not surplus:
        message, hint = "these items in another order", "write in_any_order where order may vary"
    else:
        message, hint = f"{_counted(items)}, not as expected", ""
    return message, hint, _aligned(wanted.equals, items)


def _not_these(wanted: ExpectedItems, items: Sequence[Any]) -> _Found:
    if wanted.in_any_order is None:
        return None
    missing, surplus = unmatched(wanted.in_any_order, items)
    if not missing and not surplus:
        return None
    lines = [_line(Sign.MISSING, wanted.in_any_order[at]) for at in missing]
    lines += [_line(Sign.SURPLUS, items[at]) for at in surplus]
    message = f"{_counted(items)}: {len(missing)} missing, {len(surplus)} not expected"
    return message, "", lines


def _not_in_it(wanted: ExpectedItems, items: Sequence[Any]) -> _Found:
    if wanted.contains is None:
        return None
    missing, others = unmatched(wanted.contains, items)
    if not missing:
        return None
    lines = [_line(Sign.MISSING, wanted.contains[at]) for at in missing]
    lines += _some([items[at] for at in others])
    return f"{_counted(items)}, of which {len(missing)} missing", "", lines


def _not_alike(wanted: ExpectedItems, items: Sequence[Any]) -> _Found:
    others = [item for item in items if wanted.each is not None and not matches(wanted.each, item)]
    if not others:
        return None
    lines = [_line(Sign.MISSING, wanted.each)]
    lines += [_line(Sign.SURPLUS, item) for item in others[:_SHOWN]]
    return f"{len(others)} of {_counted(items)} unlike what each is to be", "", lines


def _not_so_many(wanted: ExpectedItems, items: Sequence[Any]) -> _Found:
    n = len(items)
    if wanted.count is not None and n != wanted.count:
        bound = f"expected {wanted.count}"
    elif wanted.at_least is not None and n < wanted.at_least:
        bound = f"expected at least {wanted.at_least}"
    elif wanted.at_most is not None and n > wanted.at_most:
        bound = f"expected at most {wanted.at_most}"
    else:
        return None
    return f"{_counted(items)}, {bound}", "", _some(items)


def _counted(items: Sequence[Any]) -> str:
    return f"{len(items)} item{'' if len(items) == 1 else 's'}"


def _some(items: Sequence[Any]) -> list[DifferenceLine]:
    lines = [_line(Sign.SAME, item) for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        lines.append(DifferenceLine(sign=Sign.SAME, text=f"… {len(items) - _SHOWN} more"))
    return lines


def _aligned(expected: Sequence[Any], items: Sequence[Any]) -> list[DifferenceLine]:
    """Return both lists as one: what is in both, what is missing, what is not expected."""
    first = {repr(value): at for at, value in reversed(list(enumerate(expected)))}
    left = [first[repr(value)] for value in expected]
    right = [
        next((at for at in first.values() if matches(expected[at], item)), -1 - number)
        for number, item in enumerate(items)
    ]
    lines: list[DifferenceLine] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if group[0][3]:
            lines.append(DifferenceLine(sign=Sign.SAME, text="…"))
        for kind, low, high, start, stop in group:
            if kind == "equal":
                lines += [_line(Sign.SAME, item) for item in items[start:stop]]
                continue
            lines += [_line(Sign.MISSING, value) for value in expected[low:high]]
            lines += [_line(Sign.SURPLUS, item) for item in items[start:stop]]
    return lines


def _line(sign: Sign, value: Any) -> DifferenceLine:
    try:
        text = pprint.pformat(value, width=_WIDTH, sort_dicts=False)
    except Exception as error:  # noqa: BLE001 -- __setstate__ is anybody's code
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return DifferenceLine(sign=sign, text=text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


if __name__ == "__main__":
    answer_once(main)
