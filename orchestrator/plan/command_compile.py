"""From a job that runs a command to what its workers are told of it."""

from __future__ import annotations

import shlex

from orchestrator.plan.command import Command, CommandInput, CommandOutput
from orchestrator.plan.hidden_values import node_at, shown_beneath
from orchestrator.plan.placeholders import fields_of
from orchestrator.plan.redaction import without_password
from orchestrator.plan.resolved_spec import ResolvedJob
from orchestrator.spec import LoadedSpec
from orchestrator.spec.yaml.nodes import Path, ScalarNode

__all__ = ["command_of", "has_field", "stdin_of", "stdout_of"]

_KEY: Path = ("command",)


def command_of(job: ResolvedJob, spec: LoadedSpec) -> Command:
    """Return the command of a job that has one."""
    line = job.own.command
    shown = dict(shown_beneath("command", job, spec))
    if isinstance(line, str):
        text = shown.get(_KEY, line)
    else:
        text = " ".join(_word(shown.get((*_KEY, n), word)) for n, word in enumerate(line))
    node = node_at(spec.tree, job.path("command"))
    words = node.words if isinstance(node, ScalarNode) else ()
    return Command(
        line=line,
        values=tuple((word.variable, word.value) for word in words),
        text=_in_short(without_password(text)),
        stdin=stdin_of(job),
        stdout=stdout_of(job),
        exit_codes=job.own.exit_codes,
        tty=job.own.tty,
    )


def stdin_of(job: ResolvedJob) -> CommandInput:
    """Return what the command of a job reads: its items, unless it is given them as arguments."""
    if job.own.stdin is not None:
        return job.own.stdin
    return CommandInput.TEXT if job.reads and not has_field(job) else CommandInput.NONE


def stdout_of(job: ResolvedJob) -> CommandOutput:
    """Return what becomes of the output of a job's command."""
    if job.own.stdout is not None:
        return job.own.stdout
    return CommandOutput.LINES if job.writes else CommandOutput.LOG


def has_field(job: ResolvedJob) -> bool:
    """True if a part of the item is put into the command of a job."""
    line = job.own.command
    return any(fields_of(text) for text in ((line,) if isinstance(line, str) else line))


def _word(argument: str) -> str:
    """Return an argument as one writes it in a shell; only what must be is quoted."""
    return argument if argument and not set(argument) & _NEEDS_QUOTES else shlex.quote(argument)


_NEEDS_QUOTES = frozenset(" \t\n'\"\\$`;&|<>()*?#~")


def _in_short(text: str) -> str:
    first, *more = text.strip().splitlines()
    return f"{first} …" if more else first
