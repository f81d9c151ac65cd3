"""Letters that a replay still owes when it has ended: those that did not get through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchestrator.core.summary import Summary

__all__ = ["Feed", "Owed", "owed", "ranges_of"]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of `letters` in the order in which the job `source` puts them on `queue`.

    `alone`: no other job writes to the queue, so its first item is the first letter, and so on.
    """

    source: str
    queue: str
    letters: tuple[int, ...]
    alone: bool


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the `letters` that did not get through, and what is known of others.

    So many items are left on queues of letters and may be letters or not (`unclear`), or are left
    on other queues, and are what letters have become (`later`); by queue.
    """

    letters: tuple[int, ...]
    unclear: Mapping[str, int]
    later: Mapping[str, int]


def owed(feeds: Sequence[Feed], summary: Summary, left: Mapping[str, Sequence[range]]) -> Owed:
    """Tell them by the books of the replay, and by the numbers of the items that are `left`."""
    letters: list[int] = []
    unclear: dict[str, int] = {}
    for feed in feeds:
        ledger = summary.queues[feed.queue]
        put = summary.jobs[feed.source].items_out
        if not (ledger.done or ledger.skipped or ledger.dropped or ledger.dead):
            put = 0  # none of what was put has got through
        letters += feed.letters[put:]
        numbers = [number for part in left.get(feed.queue, ()) for number in part] if put else []
        if feed.alone:
            letters += [feed.letters[number - 1] for number in numbers]
        elif numbers:
            unclear[feed.queue] = len(numbers)
    ours = {feed.queue for feed in feeds}
    later = {name: each.left for name, each in summary.queues.items() if each.left}
    return Owed(
        letters=tuple(sorted(letters)),
        unclear=unclear,
        later={name: n for name, n in later.items() if name not in ours},
    )


def ranges_of(numbers: Iterable[int]) -> list[str]:
    """Return ascending numbers as a command line has them: `3`, `5-8`."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]
