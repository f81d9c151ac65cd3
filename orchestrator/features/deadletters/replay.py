"""Replays of dead letters: they are fed back through their pipeline, in a run of their own.

Those that do not get through are noted in the run that they are of.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from orchestrator.app.execution import execute
from orchestrator.app.options import Options, Shield
from orchestrator.core.reporting import Summary
from orchestrator.errors import UsageError
from orchestrator.files import here
from orchestrator.machine.machine import this_machine
from orchestrator.plan.model import JobPlan, Plan, Shape
from orchestrator.plan.select import downstream
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import argument_for
from orchestrator.runlog.letters import (
    DEAD_NAME,
    SOURCE,
    Chunks,
    Letter,
    Replayed,
    ReplayLock,
    note_replayed,
    read_letters,
    read_replayed,
)
from orchestrator.views.text import escaped

__all__ = ["Feed", "Notes", "Owed", "Replay", "owed", "ranges_of", "replay", "replay_plan"]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The `letters` of `run` that are to go into the pipeline of `plan`, whose spec is `source`.

    `replayed`: the runs that each of them had gone into when they were chosen.
    """

    run: RunDirectory
    letters: tuple[Letter, ...]
    plan: Plan
    source: str
    replayed: Mapping[int, tuple[str, ...]]


def replay_plan(wanted: Replay) -> Plan:
    """Return what is to run: all downstream of the letters' queues, and sources of the letters.

    Raises UsageError if the plan has no place for a letter any more, or its item is gone or is not
    what was written.
    """
    directory = wanted.run.path / DEAD_NAME
    for letter in wanted.letters:
        _check(letter, wanted.plan)
    _check_items(wanted)

    def source(name: str, queue: str) -> JobPlan:
        chosen = [letter for letter in wanted.letters if letter.queue == queue]
        return JobPlan(
            name=name,
            target=SOURCE,
            shape=Shape.SOURCE,
            args=(str(directory), _chunks(chosen)),
            outputs=(queue,),
            cwd=wanted.plan.project_dir,
            start_method=this_machine().start_method,
            description=f"dead letters of {wanted.run.run_id}",
        )

    return downstream(wanted.plan, {letter.queue for letter in wanted.letters}, source)


def replay(wanted: Replay, options: Options, shield: Shield) -> int:
    """Called in the guard.

    Run the letters' pipeline and note where they went; returns the exit code of the run. Raises as
    `replay_plan` and `execute`, and UsageError if another replay has taken some meanwhile.
    """
    plan = replay_plan(wanted)
    feeds = [
        Feed(
            source=name,
            queue=job.outputs[0],
            letters=_order([each for each in wanted.letters if each.queue == job.outputs[0]]),
            alone=plan.queues[job.outputs[0]].writers == (name,),
        )
        for name, job in plan.jobs.items()
        if job.target == SOURCE and job.args[1]
    ]
    with ReplayLock.held(wanted.run.path) as lock:
        _check_untaken(wanted)
        notes = Notes(wanted.run, feeds, quiet=options.quiet, noted=lock.release)
        return execute(plan, wanted.source, options, shield, watch=notes)


def _check_untaken(wanted: Replay) -> None:
    """Two replays at the same moment have chosen the same letters: the second is refused."""
    now = read_replayed(wanted.run.path, [letter.letter for letter in wanted.letters])
    taken = {n: runs for n, runs in now.items() if set(runs) - set(wanted.replayed.get(n, ()))}
    if not taken:
        return
    others = {run for n, runs in taken.items() for run in runs if run not in wanted.replayed[n]}
    letters = ranges_of(sorted(taken))
    raise UsageError(
        f"letters {', '.join(letters)} of {wanted.run.run_id} have just been replayed, in"
        f" {', '.join(sorted(others))}",
        hint="wait for that run to end; what fails once more is a letter of it",
    )


def _check_items(wanted: Replay) -> None:
    chunks = Chunks(wanted.run.path)
    damages = {letter.letter: chunks.damage(letter) for letter in wanted.letters}
    bad = [number for number, damage in damages.items() if damage]
    if bad:
        whole = ranges_of(sorted(damages.keys() - set(bad)))
        hint = f"those that are whole: {' '.join(whole)}" if whole else ""
        which = ", ".join(ranges_of(sorted(bad)))
        raise UsageError(f"letter {which} cannot be replayed: {damages[bad[0]]}", hint=hint)


def _check(letter: Letter, plan: Plan) -> None:
    queue = plan.queues.get(letter.queue)
    if queue is None or letter.job not in queue.readers:
        missing = f"job {letter.job} that reads" if queue else "queue"
        raise UsageError(
            f"letter {letter.letter} cannot be replayed: the spec has no {missing} {letter.queue}",
            hint="without --spec, the spec is the one that the run was made with",
        )


def _chunks(letters: Sequence[Letter]) -> tuple[tuple[str, bool, tuple[int, ...]], ...]:
    """Return what the source of these letters is told: their files, and their places in each."""
    return tuple(
        (name, packed, tuple(letter.index for letter in group))
        for (name, packed), group in _by_file(letters).items()
    )


def _order(letters: Sequence[Letter]) -> tuple[int, ...]:
    """Return the numbers of the letters in the order in which their source puts them."""
    return tuple(letter.letter for group in _by_file(letters).values() for letter in group)


def _by_file(letters: Sequence[Letter]) -> dict[tuple[str, bool], list[Letter]]:
    found: dict[tuple[str, bool], list[Letter]] = {}
    for letter in letters:
        found.setdefault((letter.chunk, letter.packed), []).append(letter)
    return found


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
