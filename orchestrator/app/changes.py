"""Changes since the last start of a durable run: the environment, the code, Python.

Of each value of the environment a run keeps a keyed hash, and not the value. The key lies beside
the runs and not in them, and only its owner may read it: whoever has a run's directory alone cannot
try out values, however short.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.errors import ResumeError, UsageError
from orchestrator.files import open_new, open_regular
from orchestrator.plan.model import Command, Plan, Versions
from orchestrator.plan.redact import masked
from orchestrator.runlog.directory import RunDirectory, home_of, make_home
from orchestrator.runlog.find import with_first_id
from orchestrator.targets.code import is_version, version_of
from orchestrator.targets.lookup import Targets

__all__ = [
    "KEY_NAME",
    "UNKNOWN",
    "changed",
    "changed_code",
    "changed_environment",
    "changed_error",
    "changes_since",
    "environment_of",
    "fingerprints",
    "python_version",
    "versions_of",
]


def python_version() -> str:
    """Return the version of Python, as far as the code it makes may differ: 3.12."""
    return ".".join(platform.python_version_tuple()[:2])


def versions_of(plan: Plan) -> Versions:
    """Return what tells one version of the jobs' code from another, and which Python this is."""
    return Versions(code=_code_of(plan), python=python_version())


def _code_of(plan: Plan) -> dict[str, str]:
    """Return what tells one version of the jobs' code from another: of a command it is its text."""
    targets = Targets(plan.pythonpath)
    found: dict[str, str] = {}
    for job in masked(plan).jobs.values():
        if isinstance(target := job.target, Command):
            digest = hashlib.sha256(msgspec.json.encode(target))
            found[_command(job.name)] = digest.hexdigest()
        elif target.module not in found:
            found[target.module] = version_of(targets.text(target.module))
    return dict(sorted(found.items()))


def changed_code(before: Mapping[str, str], plan: Plan) -> tuple[str, ...]:
    """Return the modules and commands of the plan that are not what they were."""
    targets, now = Targets(plan.pythonpath), _code_of(plan)
    commands = {_command(name) for name in plan.jobs}
    return tuple(
        name
        for name in now
        if before.get(name) != now[name]
        and (name in commands or not is_version(targets.text(name), before.get(name, "")))
    )


def environment_of(plan: Plan, run_id: str) -> dict[str, str | None]:
    """Return the fingerprints of what the spec gets from the environment."""
    home = home_of(Path(plan.project_dir), os.environ)
    return fingerprints({**plan.environment, **plan.instead}, home, run_id)


def changed_environment(kept: Plan, plan: Plan, now: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the variables from which the spec may not get what it got."""
    unset = [name for name, value in plan.environment.items() if value is None]
    return changed(kept.environment, now, unset)


def changes_since(
    run: RunDirectory, plan: Plan, accepted: Versions | None = None
) -> tuple[str, ...]:
    """Return in words what is not as it was at the run's last start, as far as that is kept.

    `accepted` are the versions of a run that keeps none beside its plan.
    """
    found = []
    kept = run.read_plan()
    now = environment_of(plan, with_first_id(run).run_id)
    if kept is not None and (names := changed_environment(kept, plan, now)):
        found.append(f"the environment: {', '.join(names)}")
    before = run.read_versions()
    if before == Versions() and accepted is not None:
        before = accepted
    if before.code and (names := changed_code(before.code, plan)):
        found.append(f"the code of targets: {', '.join(names)}")
    if before.python and before.python != python_version():
        found.append(f"Python, which was {before.python} and is {python_version()}")
    return tuple(found)


def changed_error(run: RunDirectory, changes: Sequence[str]) -> ResumeError:
    """Return the error that lists what is not as it was at the run's last start."""
    return ResumeError(
        f"this has changed since the last start of run {run.run_id}: {'; '.join(changes)}",
        hint="bring it back (variables of the environment with --env-file FILE), or go on with it"
        " as it is now with --force; what is done is not done again",
    )


def _command(job: str) -> str:
    return f"the command of {job}"


KEY_NAME = "key"
UNKNOWN = ""
"""Stands for the hash of a value where there is no key."""

_KEY_BYTES = 32


def fingerprints(
    environment: Mapping[str, str | None], home: Path, run_id: str
) -> dict[str, str | None]:
    """Return the keyed hash of each value, None for a variable that has none.

    The key is made under `home` when it is first needed; without one, UNKNOWN stands for each. The
    same value has another hash in another run.
    """
    if not environment:
        return {}
    key = _key_of(home)
    return {
        name: None if value is None else _fingerprint(key, run_id, name, value)
        for name, value in environment.items()
    }


def changed(
    kept: Mapping[str, str | None], now: Mapping[str, str | None], unset: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the variables of which it is not certain that they are what they were.

    An older run has kept None for one that was unset and had a default, as one that is `unset` has.
    """
    return tuple(
        name
        for name in now
        if name not in kept
        or now[name] == UNKNOWN
        or (kept[name] != now[name] and not (kept[name] is None and name in unset))
    )


def _fingerprint(key: bytes, run_id: str, name: str, value: str) -> str:
    if not key:
        return UNKNOWN
    said = "\0".join((run_id, name, value)).encode("utf-8", "surrogateescape")
    return hmac.new(key, said, "sha256").hexdigest()


def _key_of(home: Path) -> bytes:
    """Return the key, made if need be; empty if it cannot be read or made."""
    for make in (_nothing, _make_key):
        with contextlib.suppress(OSError, UsageError):  # without a key, or in another user's folder
            make(home)
            with os.fdopen(open_regular(home / KEY_NAME, os.O_RDONLY), "rb") as file:
                key = file.read()
            return key if len(key) == _KEY_BYTES else b""
    return b""


def _nothing(home: Path) -> None:
    """The key may be there already."""


def _make_key(home: Path) -> None:
    """Make the key as a whole; whoever was faster has made it."""
    make_home(home)
    draft = home / f".{KEY_NAME}.{os.urandom(8).hex()}"
    with os.fdopen(open_new(draft), "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, home / KEY_NAME)
    finally:
        draft.unlink()
