"""Feeds dead letters of a run back through its pipeline, in a run of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator.app.run import Options, Shield, execute
from orchestrator.errors import UsageError
from orchestrator.features.deadletters.replay_outcome import Feed, Notes, ranges_of
from orchestrator.machine.machine import this_machine
from orchestrator.plan.model import JobPlan, Plan, Shape
from orchestrator.plan.select import downstream
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.letters import DEAD_NAME, Chunks, Letter
from orchestrator.runlog.replays import SOURCE, ReplayLock, read_replayed

__all__ = ["Replay", "replay", "replay_plan"]


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
