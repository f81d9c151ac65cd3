"""Changes since the last start of a durable run: the environment, the code, Python."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.errors import ResumeError
from orchestrator.plan.model import Command, Plan, Versions
from orchestrator.plan.redact import masked
from orchestrator.runlog.directory import RunDirectory, home_of
from orchestrator.runlog.environment import changed, fingerprints
from orchestrator.runlog.find import with_first_id
from orchestrator.targets.code import is_version, version_of
from orchestrator.targets.lookup import Targets

__all__ = [
    "changed_code",
    "changed_environment",
    "changed_error",
    "changes_since",
    "environment_of",
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
