"""The run directory while a run goes on: its log, its dead letters, a durable run's store."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.core.restoring import Resumption
from orchestrator.errors import DamagedStoreError, ResumeError
from orchestrator.plan.command import Command
from orchestrator.plan.masking import masked
from orchestrator.plan.model import Durability, Plan
from orchestrator.plan.targets import Targets
from orchestrator.runlog.directory import RunDirectory, create, home_of
from orchestrator.runlog.environment import changed, fingerprints
from orchestrator.runlog.find import first_start, with_first_id
from orchestrator.runlog.letters import DEAD_NAME, DeadLetters
from orchestrator.runlog.writer import RunLog
from orchestrator.runtime.store.opening import Opened, open_store
from orchestrator.runtime.store.store import Store
from orchestrator.runtime.testing.recording import Recorder

__all__ = ["Keeping", "Resume", "begin", "resume"]

_FORMAT = b"1"
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The run that is to go on.

    `force`: though its spec or code has changed; `salvage`: though what it kept is damaged.
    """

    directory: RunDirectory
    force: bool = False
    salvage: bool = False


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """The open files of one run. `lost` is what a damaged store has lost, in words.

    `first_started` is when a run that is resumed began, as RFC 3339 UTC.
    """

    directory: RunDirectory
    log: RunLog
    letters: DeadLetters
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
    plan: Plan, source: str, run_dir: Path | None, *, tapped: Set[str] = frozenset()
) -> Keeping:
    """Make the directory of a new run and open its files; what comes onto `tapped` queues is kept.

    Raises RunDirectoryError.
    """
    home = home_of(Path(plan.project_dir), os.environ)
    directory = create(home, run_dir)
    directory.write_spec(source)
    directory.write_plan(plan, fingerprints(plan.environment, home, directory.run_id))
    log = RunLog(directory.path, directory.run_id)
    seed, store = _hash_seed(), None
    full = plan.durability is Durability.FULL
    if plan.durability.keeps:
        store = Store.create(directory.path, _meta(plan, seed), full=full)
    letters = DeadLetters(directory.path, synced=full)
    return Keeping(
        directory=directory,
        log=log,
        letters=letters,
        hash_seed=seed,
        store=store,
        recorder=Recorder(directory.path, tapped) if tapped else None,
    )


def resume(plan: Plan, source: str, wanted: Resume) -> Keeping:
    """Open the files of a run that goes on.

    Raises ResumeError if it must not, RunDirectoryError if its files cannot be written.
    """
    directory = with_first_id(wanted.directory)
    home = home_of(Path(plan.project_dir), os.environ)
    environment = fingerprints(plan.environment, home, directory.run_id)
    if not wanted.force:
        _check_environment(directory, environment)
    first_started = first_start(directory)
    log = RunLog(directory.path, directory.run_id, resumed=True)
    opened: Opened | None = None
    try:
        meta = _meta(plan, _hash_seed())
        full = plan.durability is Durability.FULL
        begun = log.tells_of_a_start()
        opened = open_store(directory.path, meta, full=full, salvage=wanted.salvage, begun=begun)
        if opened.meta is not None:
            _check_versions(opened.meta, meta, force=wanted.force)
        if opened.resumption is not None:
            _check_names(opened.resumption, plan)
        dead = _dead_items(opened.resumption)
        letters = DeadLetters(directory.path, resumed=dead, synced=full)
        gone = _gone(letters, directory, salvage=wanted.salvage)
        directory.drop_summary()
        directory.write_spec(source)
        directory.write_plan(plan, environment)
    except BaseException:
        if opened is not None:
            opened.store.close()
        log.close()
        raise
    return Keeping(
        directory=directory,
        log=log,
        letters=letters,
        hash_seed=(opened.meta or meta)["hash_seed"].decode(),
        store=opened.store,
        resumption=opened.resumption,
        lost=(*opened.lost, *gone),
        first_started=first_started,
    )


def _hash_seed() -> str:
    """The user's PYTHONHASHSEED, or one drawn for this run."""
    chosen = os.environ.get("PYTHONHASHSEED", "")
    return chosen if chosen.isdecimal() else str(int.from_bytes(os.urandom(4), "little"))


def _meta(plan: Plan, seed: str) -> dict[str, bytes]:
    """What must be the same when the run is resumed."""
    return {
        "format": _FORMAT,
        "python": ".".join(platform.python_version_tuple()[:2]).encode(),
        "hash_seed": seed.encode(),
        "targets": json.dumps(_versions(plan)).encode(),
    }


def _versions(plan: Plan) -> dict[str, str]:
    """What tells one version of the jobs' code from another: of a command it is its text."""
    targets = Targets(plan.pythonpath)
    found: dict[str, str] = {}
    for job in masked(plan).jobs.values():
        if isinstance(target := job.target, Command):
            digest = hashlib.sha256(msgspec.json.encode(target))
            found[f"the command of {job.name}"] = digest.hexdigest()
        elif target.module not in found:
            found[target.module] = targets.version(target.module)
    return dict(sorted(found.items()))


def _check_versions(before: Mapping[str, bytes], now: Mapping[str, bytes], *, force: bool) -> None:
    if before.get("format") != _FORMAT:
        raise ResumeError("the run was kept by another version of mporch, in another format")
    if force:
        return
    if before["python"] != now["python"]:
        old, new = before["python"].decode(), now["python"].decode()
        raise ResumeError(
            f"the run was made with Python {old}, and this is {new}",
            hint="run mporch with the same Python, or go on all the same with --force",
        )
    old_targets, new_targets = json.loads(before["targets"]), json.loads(now["targets"])
    if changed := [name for name in new_targets if old_targets.get(name) != new_targets[name]]:
        raise ResumeError(
            f"the code of targets has changed since the run began: {', '.join(changed)}",
            hint="--force goes on with the new code; what is done is not done again",
        )


def _check_environment(directory: RunDirectory, now: Mapping[str, str | None]) -> None:
    kept = directory.read_plan()
    if kept is not None and (names := changed(kept.environment, now)):
        raise ResumeError(
            f"the environment is not what it was when run {directory.run_id} began: "
            f"{', '.join(names)}",
            hint="set it as it was (--env-file FILE), or go on with it as it is now with --force",
        )


def _check_names(resumption: Resumption, plan: Plan) -> None:
    """A changed spec must still have a place for all that was kept."""
    image = resumption.image
    workers = {f"{job.name}-{n + 1}" for job in plan.jobs.values() for n in range(job.workers)}
    for what, kept, there in (
        ("queue", image.queues, plan.queues),
        ("job", image.jobs, plan.jobs),
        ("job", image.jobs_done, plan.jobs),
        ("worker", image.workers, workers),
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


def _dead_items(resumption: Resumption | None) -> frozenset[str]:
    if resumption is None:
        return frozenset()
    queues = resumption.image.queues.items()
    return frozenset(f"{name}:{number}" for name, queue in queues for number in queue.dead_items)
