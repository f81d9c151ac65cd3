"""Feeds dead letters of a run back through its pipeline, in a run of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from orchestrator.app.execution import Options, Shield, execute
from orchestrator.errors import UsageError
from orchestrator.plan.downstream import downstream
from orchestrator.plan.model import JobPlan, Plan, Shape, Target
from orchestrator.plan.platform import default_start_method
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.letters import DEAD_NAME, Letter
from orchestrator.runlog.replays import Replayed, note_replayed
from orchestrator.views.text import escaped

__all__ = ["Replay", "replay", "replay_plan", "replayed_run"]

_SOURCE = Target(module="orchestrator.runtime.letters.source", qualname="letters")


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The `letters` of `run` that are to go into the pipeline of `plan`, whose spec is `source`."""

    run: RunDirectory
    letters: tuple[Letter, ...]
    plan: Plan
    source: str


def replay_plan(wanted: Replay) -> Plan:
    """Return what is to run: all downstream of the letters' queues, and sources of the letters.

    Raises UsageError if the plan has no place for a letter any more, or its item is gone.
    """
    directory = wanted.run.path / DEAD_NAME
    for letter in wanted.letters:
        _check(letter, wanted.plan, directory)

    def source(name: str, queue: str) -> JobPlan:
        chosen = [letter for letter in wanted.letters if letter.queue == queue]
        return JobPlan(
            name=name,
            target=_SOURCE,
            shape=Shape.SOURCE,
            args=(str(directory), _chunks(chosen)),
            outputs=(queue,),
            cwd=wanted.plan.project_dir,
            start_method=default_start_method(),
            description=f"dead letters of {wanted.run.run_id}",
        )

    return downstream(wanted.plan, {letter.queue for letter in wanted.letters}, source)


def replayed_run(plan: Plan) -> RunDirectory | None:
    """Return the run whose letters a plan feeds back; None if it is no replay's."""
    for job in plan.jobs.values():
        if job.target == _SOURCE and job.args:
            path = Path(str(job.args[0])).parent
            return RunDirectory(run_id=path.name, path=path)
    return None


def replay(wanted: Replay, options: Options, shield: Shield) -> int:
    """Called in the guard.

    Run the letters' pipeline and note where they went; returns the exit code of the run. Raises as
    `replay_plan` and `execute`.
    """
    plan = replay_plan(wanted)
    sources = [name for name, job in plan.jobs.items() if job.target == _SOURCE]
    notes = _Notes(wanted, sources, quiet=options.quiet)
    return execute(
        plan,
        wanted.source,
        options,
        lambda run: shield(lambda: notes.ended(run())),
        begun=notes.begun,
    )


def _check(letter: Letter, plan: Plan, directory: Path) -> None:
    queue = plan.queues.get(letter.queue)
    if queue is None or letter.job not in queue.readers:
        missing = f"job {letter.job} that reads" if queue else "queue"
        raise UsageError(
            f"letter {letter.letter} cannot be replayed: the spec has no {missing} {letter.queue}",
            hint="without --spec, the spec is the one that the run was made with",
        )
    if not (directory / letter.chunk).is_file():
        raise UsageError(
            f"the item of letter {letter.letter} is gone: there is no {directory / letter.chunk}"
        )


def _chunks(letters: Sequence[Letter]) -> tuple[tuple[str, bool, tuple[int, ...]], ...]:
    """Group the letters by the files that their items are in."""
    found: dict[tuple[str, bool], list[int]] = {}
    for letter in letters:
        found.setdefault((letter.chunk, letter.packed), []).append(letter.index)
    return tuple((name, packed, tuple(indices)) for (name, packed), indices in found.items())


class _Notes:
    """What is noted of a replay. Called in the orchestrator."""

    def __init__(self, wanted: Replay, sources: Sequence[str], *, quiet: bool) -> None:
        self._wanted = wanted
        self._sources = sources
        self._quiet = quiet
        self._new: RunDirectory | None = None

    def begun(self, new: RunDirectory) -> None:
        """Note the letters as replayed before the first of them can have any effect."""
        self._new = new
        self._note(new, undone=False)

    def ended(self, exit_code: int) -> int:
        """Take the note back if no letter was worked on, tell if some were; returns `exit_code`."""
        summary = self._new.read_summary() if self._new else None
        if self._new is None or summary is None:
            return exit_code
        queues = {letter.queue for letter in self._wanted.letters}
        ledgers = [ledger for name, ledger in summary.queues.items() if name in queues]
        emitted = sum(summary.jobs[name].items_out for name in self._sources)
        missing = len(self._wanted.letters) - emitted + sum(ledger.left for ledger in ledgers)
        if missing <= 0:
            return exit_code
        if not any(each.done or each.skipped or each.dropped or each.dead for each in ledgers):
            self._note(self._new, undone=True)
        elif not self._quiet:
            sys.stderr.write(
                f"mporch: {missing} of {len(self._wanted.letters)} letters did not get through, "
                "which ones is not known; all count as replayed\n"
                f"  hint: mporch dead replay {escaped(str(self._wanted.run.path))} --all --again\n"
            )
        return exit_code

    def _note(self, new: RunDirectory, *, undone: bool) -> None:
        letters = tuple(letter.letter for letter in self._wanted.letters)
        note = Replayed(letters=letters, run=new.run_id, ts=time.time(), undone=undone)
        note_replayed(self._wanted.run.path, note)
