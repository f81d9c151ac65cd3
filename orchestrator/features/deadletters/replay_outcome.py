"""Outcome of a replay: letters that did not get through, noted in the run that they are of."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from orchestrator.core.reporting.summary import Summary
from orchestrator.files import here
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import argument_for
from orchestrator.runlog.letters import read_letters
from orchestrator.runlog.replays import Replayed, note_replayed, read_replayed
from orchestrator.views.text import escaped

__all__ = ["Feed", "Notes", "Owed", "owed", "ranges_of"]

_NAMED = 10


class Notes:
    """Notes which letters of `origin` count as replayed: those that may have got through.

    `noted` is called once that is noted for all of them.
    """

    def __init__(
        self,
        origin: RunDirectory,
        feeds: Sequence[Feed],
        *,
        quiet: bool,
        noted: Callable[[], None],
    ) -> None:
        self._origin = origin
        self._feeds = feeds
        self._quiet = quiet
        self._noted = noted
        self._run_id = ""

    def begun(self, directory: RunDirectory) -> None:
        """Note all letters as replayed before the first of them can have any effect."""
        self._run_id = directory.run_id
        self._note([letter for feed in self._feeds for letter in feed.letters], undone=False)
        self._noted()

    def ended(self, summary: Summary, left: Mapping[str, Sequence[range]]) -> None:
        """Take the note back for those that did not get through, and say which they are."""
        found = owed(self._feeds, summary, left)
        if found.letters:
            self._note(found.letters, undone=True)
        if not self._quiet:
            sys.stderr.writelines(f"{escaped(line)}\n" for line in self._told(found))

    def _told(self, found: Owed) -> Iterator[str]:
        name = argument_for(self._origin, here(), os.environ)
        total = sum(len(feed.letters) for feed in self._feeds)
        if found.letters:
            ranges = ranges_of(found.letters)
            more = ", …" if len(ranges) > _NAMED else ""
            yield (
                f"mporch: {len(found.letters)} of {total} letters did not get through, and do not"
                f" count as replayed: {', '.join(ranges[:_NAMED])}{more}"
            )
            which = "--all" if self._is_all_there_is(found) else " ".join(ranges)
            yield f"  hint: mporch dead replay {name} {which}"
        if found.unclear:
            named = ", ".join(f"{n} of {queue}" for queue, n in found.unclear.items())
            yield f"mporch: {named} are left: which of them are letters is not known"
        if found.later:
            named = ", ".join(f"{n} of {queue}" for queue, n in found.later.items())
            yield f"mporch: of what other letters became {named} are left: of which is not known"
        if found.unclear or found.later:
            yield f"  hint: mporch dead replay {name} --all --again feeds all back once more"
        if others := self._unreplayed() - set(found.letters):
            were = (
                "other letter of that run was"
                if len(others) == 1
                else "other letters of that run were"
            )
            yield f"mporch: {len(others)} {were} not replayed yet"
            yield f"  hint: mporch dead list {name}"

    def _is_all_there_is(self, found: Owed) -> bool:
        """True if `--all` takes these letters, and no others."""
        return self._unreplayed() == set(found.letters)

    def _unreplayed(self) -> set[int]:
        """Return those of the run's letters that do not count as replayed now."""
        numbers = [letter.letter for letter in read_letters(self._origin.path)]
        return {n for n, runs in read_replayed(self._origin.path, numbers).items() if not runs}

    def _note(self, letters: Sequence[int], *, undone: bool) -> None:
        note = Replayed(letters=tuple(letters), run=self._run_id, ts=time.time(), undone=undone)
        note_replayed(self._origin.path, note)


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
