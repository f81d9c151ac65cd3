"""The run directory while a run goes on: its log, its dead letters, a durable run's store."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.changes import changed_error, changes_since, environment_of, versions_of
from orchestrator.core.broker.setup import Resumption
from orchestrator.errors import DamagedStoreError, ResumeError
from orchestrator.plan.model import Durability, Plan, Versions
from orchestrator.runlog.directory import PLAN_NAME, RunDirectory, create, home_of
from orchestrator.runlog.find import first_start, with_first_id
from orchestrator.runlog.keepsakes import Keepsakes
from orchestrator.runlog.letters import DEAD_NAME, DeadLetters
from orchestrator.runlog.recording import Recorder
from orchestrator.runlog.writer import RunLog
from orchestrator.store.opening import OpenedStore, open_store
from orchestrator.store.store import Store

__all__ = ["Resume", "RunFiles", "begin", "resume"]

_FORMAT = b"1"
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The run that is to go on.

    `changed` tells in words what of its spec has changed; `force`: go on with that, and with what
    else has changed; `salvage`: though what it kept is damaged.
    """

    directory: RunDirectory
    changed: tuple[str, ...] = ()
    force: bool = False
    salvage: bool = False


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The open files of one run. `lost` is what a damaged store has lost, in words.

    `first_started` is when a run that is resumed began, as RFC 3339 UTC.
    """

    directory: RunDirectory
    log: RunLog
    letters: DeadLetters
    keepsakes: Keepsakes
    hash_seed: str
    store: Store | None = None
    resumption: Resumption | None = None
    lost: tuple[str, ...] = ()
    recorder: Recorder | None = None
    first_started: str = ""

    def close(self) -> None:
        """Close everything; raises RunDirectoryError if the end of the log cannot be written."""
        self.letters.close()
        if self.store is not None:
            self.store.close()
        if self.recorder is not None:
            self.recorder.close()
        self.log.close()


def begin(
    plan: Plan,
    source: str,
    run_dir: Path | None,
    *,
    hash_seed: str,
    tapped: Set[str] = frozenset(),
) -> RunFiles:
    """Make the directory of a new run and open its files; what comes onto `tapped` queues is kept.

    `hash_seed` is the PYTHONHASHSEED of its workers. Raises RunDirectoryError.
    """
    home = home_of(Path(plan.project_dir), os.environ)
    directory = create(home, run_dir)
    directory.write_spec(source)
    versions = versions_of(plan) if plan.durability.keeps else Versions()
    directory.write_plan(plan, environment_of(plan, directory.run_id), versions)
    log = RunLog(directory.path, directory.run_id)
    store = None
    full = plan.durability is Durability.FULL
    if plan.durability.keeps:
        store = Store.create(directory.path, _meta(versions, hash_seed), full=full)
    letters = DeadLetters(directory.path, synced=full)
    return RunFiles(
        directory=directory,
        log=log,
        letters=letters,
        keepsakes=Keepsakes(directory.path, synced=full),
        hash_seed=hash_seed,
        store=store,
        recorder=Recorder(directory.path, tapped) if tapped else None,
    )


def resume(plan: Plan, source: str, wanted: Resume, *, hash_seed: str) -> RunFiles:
    """Open the files of a run that goes on; `hash_seed` is for one that has lost its own.

    Raises ResumeError if it must not, RunDirectoryError if its files cannot be written.
    """
    directory = with_first_id(wanted.directory)
    environment = environment_of(plan, directory.run_id)
    first_started = first_start(directory)
    log = RunLog(directory.path, directory.run_id, resumed=True)
    opened: OpenedStore | None = None
    try:
        versions = versions_of(plan)
        meta = _meta(versions, hash_seed)
        full = plan.durability is Durability.FULL
        begun = log.tells_of_a_start()
        opened = open_store(directory.path, meta, full=full, salvage=wanted.salvage, begun=begun)
        accepted = _accepted(opened.meta)
        if not wanted.force:
            _require_unchanged(wanted, plan, accepted)
        if opened.resumption is not None:
            _check_names(opened.resumption, plan)
        dead = _dead_items(opened.resumption)
        letters = DeadLetters(directory.path, resumed=dead, synced=full)
        gone = _gone(letters, directory, salvage=wanted.salvage)
        _require_in_place(directory)
        unknown = _unknown(directory, environment)
        directory.drop_summary()
        if opened.meta is not None and versions != accepted:
            opened.store.remember({**opened.meta, **_meta_of(versions)})
        directory.write_spec(source)
        directory.write_plan(plan, environment, versions)
    except BaseException:
        if opened is not None:
            opened.store.close()
        log.close()
        raise
    return RunFiles(
        directory=directory,
        log=log,
        letters=letters,
        keepsakes=Keepsakes(directory.path, synced=full),
        hash_seed=(opened.meta or meta)["hash_seed"].decode(),
        store=opened.store,
        resumption=opened.resumption,
        lost=(*opened.lost, *gone, *unknown),
        first_started=first_started,
    )


def _require_in_place(directory: RunDirectory) -> None:
    """Raise ResumeError if another has taken its place: the store was opened by its path."""
    if not directory.is_in_place:
        raise ResumeError(
            f"{directory.path} was replaced by another directory just now",
            hint="see who can write to the folder that it is in",
        )


def _meta(versions: Versions, seed: str) -> dict[str, bytes]:
    """Return what must be the same when the run is resumed."""
    return {"format": _FORMAT, "hash_seed": seed.encode(), **_meta_of(versions)}


def _meta_of(versions: Versions) -> dict[str, bytes]:
    return {
        "python": versions.python.encode(),
        "targets": json.dumps(versions.code).encode(),
    }


def _accepted(before: Mapping[str, bytes] | None) -> Versions | None:
    """Return the versions that the store names, if it is there. Raises ResumeError."""
    if before is None:
        return None
    if before.get("format") != _FORMAT:
        raise ResumeError("the run was kept by another version of mporch, in another format")
    return Versions(code=json.loads(before["targets"]), python=before["python"].decode())


def _require_unchanged(wanted: Resume, plan: Plan, accepted: Versions | None) -> None:
    """Raise ResumeError that lists what is not as it was at the last start."""
    run = with_first_id(wanted.directory)
    if changes := (*wanted.changed, *changes_since(run, plan, accepted)):
        raise changed_error(run, changes)


def _check_names(resumption: Resumption, plan: Plan) -> None:
    """A changed spec must still have a place for all that was kept."""
    stored = resumption.stored
    workers = {f"{job.name}-{n + 1}" for job in plan.jobs.values() for n in range(job.workers)}
    for what, kept, there in (
        ("queue", stored.queues, plan.queues),
        ("job", stored.jobs, plan.jobs),
        ("job", stored.jobs_done, plan.jobs),
        ("worker", stored.workers, workers),
    ):
        if gone := [name for name in kept if name not in there]:
            raise ResumeError(
                f"the spec has no {what} {gone[0]} any more, of which the run has kept items",
                hint="bring it back, or run the spec anew",
            )


def _gone(letters: DeadLetters, directory: RunDirectory, *, salvage: bool) -> tuple[str, ...]:
    """Dead letters of which the store knows and that are not there, in words, if that may be."""
    if not letters.missing:
        return ()
    named = ", ".join(sorted(letters.missing)[:_NAMED])
    text = f"{len(letters.missing)} of the run's dead letters are gone ({named})"
    if not salvage:
        letters.close()
        raise DamagedStoreError(
            f"{directory.path / DEAD_NAME} is damaged: {text}",
            hint="--salvage goes on without them; their items are lost",
        )
    return (text,)


def _unknown(directory: RunDirectory, environment: Mapping[str, str | None]) -> tuple[str, ...]:
    """Tell that the plan is made anew, if it is, and what only the lost one could tell."""
    if directory.read_plan() is not None:
        return ()
    text = f"{PLAN_NAME} is made anew"
    if environment:
        text += f"; whether {', '.join(environment)} have changed is not known"
    return (text,)


def _dead_items(resumption: Resumption | None) -> frozenset[str]:
    if resumption is None:
        return frozenset()
    queues = resumption.stored.queues.items()
    return frozenset(f"{name}:{number}" for name, queue in queues for number in queue.dead_items)
