"""Redaction: secrets are kept out of what mporch itself writes of a plan. Pure.

A plan that is shown or kept has `***` for the values of environment variables and keyword arguments
that are named like secrets, however deep, and for the password within a URL; values that came from
the environment are `${NAME}` again. Who runs it compiles
the spec anew: docs/decisions/0012-secrets.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from orchestrator.masking import MASK, is_secret, without_password
from orchestrator.plan.model import Command, JobPlan, Plan

__all__ = ["Path", "masked", "masked_value", "replaced"]

Path: TypeAlias = tuple[str | int, ...]


_NAMED = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", re.ASCII)
"""A variable that holds the secret, and nothing else."""


def replaced(value: Any, others: Mapping[Path, Any], path: Path) -> Any:
    """Return `value`, which stands at `path`, with all in place that `others` has for a path."""
    if path in others:
        return others[path]
    if isinstance(value, dict):
        return {key: replaced(item, others, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, others, (*path, n)) for n, item in enumerate(value))
    return value


def masked(plan: Plan) -> Plan:
    """Return the plan without its secrets, to be shown or kept but not to be run."""
    jobs = {name: _masked_job(job) for name, job in plan.jobs.items()}
    folders = dict(plan.shown)
    pythonpath = (folders.get(("pythonpath", n), p) for n, p in enumerate(plan.pythonpath))
    unknown = dict.fromkeys(plan.environment)
    return msgspec.structs.replace(
        plan, jobs=jobs, pythonpath=tuple(pythonpath), environment=unknown, instead={}, shown=()
    )


def _masked_job(job: JobPlan) -> JobPlan:
    shown = dict(job.shown)
    args = replaced(job.args, shown, ("args",))
    kwargs = replaced(dict(job.kwargs), shown, ("kwargs",))
    env = replaced(dict(job.env), shown, ("env",))
    target = job.target
    if isinstance(target, Command):
        line = masked_value(replaced(target.line, shown, ("command",)))
        target = msgspec.structs.replace(target, line=line, values=())
    return msgspec.structs.replace(
        job,
        target=target,
        args=tuple(masked_value(value) for value in args),
        kwargs=masked_value(kwargs),
        env=tuple(
            (name, masked_value(value, secret=is_secret(name))) for name, value in env.items()
        ),
        cwd=shown.get(("cwd",), job.cwd),
        shown=(),
        late=(),
    )


def masked_value(value: Any, *, secret: bool = False) -> Any:
    """Return a value of a job's arguments or environment without secrets; `secret`: it is one."""
    if isinstance(value, dict):
        return {
            key: masked_value(item, secret=secret or is_secret(str(key)))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(masked_value(item, secret=secret) for item in value)
    if value is None:
        return None
    if secret:
        named = isinstance(value, str) and _NAMED.fullmatch(value)
        return value if named else MASK
    return without_password(value) if isinstance(value, str) else value
