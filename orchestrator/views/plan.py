"""A plan as text: what will run, how it is wired, and which limits hold."""

from __future__ import annotations

import enum
import signal
import textwrap

from rich.filesize import decimal

from orchestrator.plan.model import (
    AfterCondition,
    ErrorAction,
    JobPlan,
    Plan,
    QueuePlan,
    ReplayMode,
    WhenFull,
)
from orchestrator.spec.model import KEYS, JobSettings
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, duration, escaped, number, paint

__all__ = ["render_plan"]

_NARROWEST = 40
_UNITS = (
    (1 << 30, "GiB"),
    (10**9, "GB"),
    (1 << 20, "MiB"),
    (10**6, "MB"),
    (1 << 10, "KiB"),
    (10**3, "kB"),
)
_QUEUES = (
    Column(title="queue"),
    Column(title="maxsize", right=True),
    Column(title="max bytes", right=True),
    Column(title="from"),
    Column(title="to"),
    Column(title="when full"),
)


def render_plan(plan: Plan, paper: Paper) -> str:
    """Return the plan: its jobs with their wires and limits, then a table of its queues."""
    limit = f", at most {duration(plan.timeout_s)}" if plan.timeout_s else ""
    if plan.durability.keeps:
        limit += ", durable"
    name = paint(escaped(plan.name), Style.BOLD, colour=paper.colour)
    head = f"{name} ({escaped(plan.spec_path)}){limit}"
    parts = [f"{head}\n", "".join(_job(job, paper) for job in plan.jobs.values())]
    if plan.queues:
        parts.append(table(_QUEUES, map(_queue, plan.queues.values()), paper, indent=2))
    return "\n".join(parts)


def _job(job: JobPlan, paper: Paper) -> str:
    kind = f"{job.shape.value}, {job.workers} worker{'s' if job.workers > 1 else ''}"
    about = [
        kind + (", daemon" if job.daemon else ""),
        _wires("reads", job.inputs, job.read_handles),
        _wires("writes", job.outputs, job.write_handles),
        ("after " if job.after else "") + ", ".join(_after(*after) for after in job.after),
    ]
    name = paint(escaped(job.name), Style.CYAN, colour=paper.colour)
    texts = [job.description, "; ".join(filter(None, about)), _limits(job)]
    told = "".join(f"{_folded(escaped(text), paper)}\n" for text in texts if text)
    return f"  {name}: {escaped(str(job.target))}\n{told}"


def _folded(text: str, paper: Paper) -> str:
    return textwrap.fill(
        text,
        max(paper.width, _NARROWEST),
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _queue(queue: QueuePlan) -> tuple[str, ...]:
    size = number(queue.maxsize) if queue.maxsize else "unbounded"
    full = "" if queue.when_full is WhenFull.BLOCK else queue.when_full.value
    if queue.put_timeout_s is not None:
        full = f"fail after {duration(queue.put_timeout_s)}"
    weight = "" if queue.max_bytes is None else _size(queue.max_bytes)
    writers, readers = ", ".join(queue.writers), ", ".join(queue.readers)
    if not readers:
        size, readers = "nothing", "nobody: dropped"
    return (queue.name, size, weight, writers, readers, full)


def _wires(verb: str, queues: tuple[str, ...], handles: tuple[tuple[str, str], ...]) -> str:
    """Return the queues that mporch moves items of, then those given as handles to parameters."""
    wires = [*queues, *(f"{queue} (as {parameter})" for parameter, queue in handles)]
    return f"{verb} {', '.join(wires)}" if wires else ""


def _after(name: str, condition: AfterCondition) -> str:
    return name if condition is AfterCondition.SUCCEEDED else f"{name} {condition.value}"


def _limits(job: JobPlan) -> str:
    """Return how the job's workers are made and stopped, its time limits and its policies."""
    stop = f"{_signal(job.terminate.signal)}, SIGKILL after {duration(job.terminate.grace_s)}"
    told = [job.start_method.value, f"stop: {stop}"]
    timeouts = (
        ("start", job.timeouts.start_s),
        ("item", job.timeouts.item_s),
        ("run", job.timeouts.run_s),
        ("join", job.join_s),
    )
    told += [
        f"{name} within {duration(limit_s)}" for name, limit_s in timeouts if limit_s is not None
    ]
    if job.batch:
        told.append(f"batches of {job.batch.size} within {duration(job.batch.within_s)}")
    if job.rate:
        burst = f", up to {number(job.rate.burst)} at once" if job.rate.burst > 1 else ""
        told.append(f"rate {job.rate.written}{burst}")
    if job.ordered:
        told.append(f"in order, up to {number(job.ordered.window)} items ahead")
    told += _errors(job)
    told += _bounds(job)
    return "; ".join(told + _told(job))


def _told(job: JobPlan) -> list[str]:
    """Return the keys that are told as they are written, unless that is the default."""
    told = []
    for (name, *_), key in KEYS.items():
        value = getattr(job, name) if key.told else None
        if key.told and value != JobSettings.model_fields[name].default:
            word = value.value if isinstance(value, enum.Enum) else value
            told.append(f"{name.replace('_', ' ')}: {word}")
    return told


def _errors(job: JobPlan) -> list[str]:
    """Return what becomes of items that raise, and of workers that die."""
    told = [f"{action.value} on {name}" for name, action in job.on_error.by_exception]
    if job.on_error.otherwise is not ErrorAction.FAIL:
        told.append(f"{job.on_error.otherwise.value} on any {'other ' if told else ''}error")
    if job.retry.attempts > 1:
        told.append(f"{job.retry.attempts} attempts")
    if job.restart.max:
        within = duration(job.restart.within_s)
        replay = ", its items compared" if job.restart.replay is ReplayMode.SKIP else ""
        told.append(f"{job.restart.max} restarts within {within}{replay}")
    return told


def _bounds(job: JobPlan) -> list[str]:
    """Return what a worker may use, and when it is recycled."""
    limits, recycle = job.limits, job.recycle
    told = []
    if limits.memory_bytes is not None:
        told.append(f"memory up to {_size(limits.memory_bytes)}")
    if limits.cpu_s is not None:
        told.append(f"processor time up to {duration(limits.cpu_s)}")
    if limits.open_files is not None:
        told.append(f"up to {limits.open_files} open files")
    if recycle.max_items is not None:
        told.append(f"recycled after {number(recycle.max_items)} items")
    if recycle.max_rss_bytes is not None:
        told.append(f"recycled beyond {_size(recycle.max_rss_bytes)}")
    return told


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _size(n_bytes: int) -> str:
    """Return a size as a spec would say it: in the largest unit of which it is a multiple."""
    for factor, unit in _UNITS:
        if n_bytes and n_bytes % factor == 0:
            return f"{n_bytes // factor}{unit}"
    return decimal(n_bytes)
