"""A plan as text: jobs and queues, the spec with all values, the jobs that a run would start."""

from __future__ import annotations

import enum
import re
import signal
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
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
from orchestrator.plan.resolved import Branch, Leaf, Origin
from orchestrator.plan.select import in_starting_order
from orchestrator.spec.model import KEYS, JobSettings
from orchestrator.spec.yaml.scalars import ScalarError, resolve
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, duration, escaped, number, paint

__all__ = ["dry_run_data", "render_dry_run", "render_plan", "render_tree", "render_yaml", "size"]


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
    items = number(queue.maxsize) if queue.maxsize else "unbounded"
    full = "" if queue.when_full is WhenFull.BLOCK else queue.when_full.value
    if queue.put_timeout_s is not None:
        full = f"fail after {duration(queue.put_timeout_s)}"
    weight = "" if queue.max_bytes is None else size(queue.max_bytes)
    if queue.soft_bytes is not None:
        weight = f"{size(queue.soft_bytes)} soft"
    writers, readers = ", ".join(queue.writers), ", ".join(queue.readers)
    if not readers:
        items, readers = "nothing", "nobody: dropped"
    return (queue.name, items, weight, writers, readers, full)


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
        told.append(f"memory up to {size(limits.memory_bytes)}")
    if limits.cpu_s is not None:
        told.append(f"processor time up to {duration(limits.cpu_s)}")
    if limits.open_files is not None:
        told.append(f"up to {limits.open_files} open files")
    if recycle.max_items is not None:
        told.append(f"recycled after {number(recycle.max_items)} items")
    if recycle.max_rss_bytes is not None:
        told.append(f"recycled beyond {size(recycle.max_rss_bytes)}")
    return told


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def size(n_bytes: int) -> str:
    """Return a size as a spec would say it: in the largest unit of which it is a multiple."""
    for factor, unit in _UNITS:
        if n_bytes and n_bytes % factor == 0:
            return f"{n_bytes // factor}{unit}"
    return decimal(n_bytes)


_PLAIN = re.compile(r"[A-Za-z0-9_./$][\w./:${}@+-]*(?<!:)", re.ASCII)
_DOLLAR = re.compile(r"\$(?=[${])")
_WIDEST = 1_000_000
_COLUMN = 40
"""Where origins begin, unless a value is longer."""

_Line = tuple[str, Origin | None]


def render_yaml(root: Branch, paper: Paper, *, origins: bool) -> str:
    """Return a spec that says the same; with `origins` as comments."""
    return _text(_yaml_lines(root, ""), paper, mark="  # ", origins=origins)


def render_tree(root: Branch, name: str, paper: Paper, *, origins: bool) -> str:
    """Return the values as a tree below `name`; with `origins` beside them."""
    head = paint(escaped(name), Style.BOLD, colour=paper.colour)
    return f"{head}\n" + _text(_tree_lines(root, ""), paper, mark="  ", origins=origins)


def _text(lines: Iterator[_Line], paper: Paper, *, mark: str, origins: bool) -> str:
    told = []
    for text, origin in lines:
        line = escaped(text)
        if origins and origin is not None:
            beside = paint(escaped(f"{mark}{origin}"), Style.DIM, colour=paper.colour)
            line = f"{line:<{_COLUMN}}{beside}"
        told.append(f"{line}\n")
    return "".join(told)


def _yaml_lines(branch: Branch, indent: str) -> Iterator[_Line]:
    for key, node in branch.inner.items():
        head = f"{indent}-" if branch.is_list else f"{indent}{_scalar(key)}:"
        if isinstance(node, Leaf):
            yield f"{head} {_value(node)}", node.origin
        elif branch.is_list:
            lines = _yaml_lines(node, f"{indent}  ")
            first, origin = next(lines)
            yield f"{head} {first[len(indent) + 2 :]}", origin
            yield from lines
        else:
            yield head, node.origin
            yield from _yaml_lines(node, f"{indent}  ")


def _tree_lines(branch: Branch, indent: str) -> Iterator[_Line]:
    for nth, (key, node) in enumerate(branch.inner.items(), 1):
        last = nth == len(branch.inner)
        head = f"{indent}{'└─' if last else '├─'} {_scalar(key)}"
        if isinstance(node, Leaf):
            yield f"{head}: {_value(node)}", node.origin
        else:
            yield head, node.origin
            yield from _tree_lines(node, f"{indent}{'   ' if last else '│  '}")


def _value(leaf: Leaf) -> str:
    value = leaf.value
    if leaf.literal and isinstance(value, str):
        value = _DOLLAR.sub("$$", value)
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a value as YAML has it, on one line."""
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if isinstance(value, float):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _is_plain(text: str) -> bool:
    try:
        return _PLAIN.fullmatch(text) is not None and resolve(text) == text
    except ScalarError:
        return False


def _quoted(text: str) -> str:
    event = yaml.ScalarEvent(None, None, (True, True), text, style='"')
    around = [yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False)]
    behind = [yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent()]
    done: str = yaml.emit([*around, event, *behind], allow_unicode=True, width=_WIDEST)
    return done.removeprefix("--- ").rstrip("\n")  # which stands before an empty text


_STARTED_JOBS = (
    Column(title="step", right=True),
    Column(title="job"),
    Column(title="workers", right=True),
    Column(title="called", rank=1),
    Column(title="reads", rank=3),
    Column(title="writes", rank=4),
    Column(title="after", rank=2),
)
_STARTED_QUEUES = (
    Column(title="queue"),
    Column(title="holds", right=True),
    Column(title="from", rank=1),
    Column(title="to", rank=2),
)


def render_dry_run(plan: Plan, paper: Paper) -> str:
    """Return a table of jobs, in the order in which they would start, and one of queues."""
    name = paint(escaped(plan.name), Style.BOLD, colour=paper.colour)
    workers = sum(job.workers for job in plan.jobs.values())
    counts = ((len(plan.jobs), "job"), (workers, "worker"), (len(plan.queues), "queue"))
    told = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    parts = [f"{name} ({escaped(plan.spec_path)}) would start {told}:\n"]
    rows = [_row(step, job) for step, job in in_starting_order(plan)]
    parts.append(table(_STARTED_JOBS, rows, paper, indent=2))
    if plan.queues:
        queues = [
            (
                queue.name,
                _holds(queue),
                ", ".join(queue.writers),
                ", ".join(queue.readers) or "nobody: dropped",
            )
            for queue in plan.queues.values()
        ]
        parts.append(table(_STARTED_QUEUES, queues, paper, indent=2))
    return "\n".join(parts)


def _holds(queue: QueuePlan) -> str:
    if not queue.readers:
        return "nothing"
    return number(queue.maxsize) if queue.maxsize else "unbounded"


def _row(step: int, job: JobPlan) -> tuple[str, ...]:
    waits = (
        name if state is AfterCondition.SUCCEEDED else f"{name} {state.value}"
        for name, state in job.after
    )
    return (
        str(step),
        job.name,
        str(job.workers),
        job.shape.value + (", daemon" if job.daemon else ""),
        ", ".join(job.reads),
        ", ".join(job.writes),
        ", ".join(waits),
    )


def dry_run_data(plan: Plan) -> dict[str, Any]:
    """Return the same for programs; workers by name."""
    return {
        "name": plan.name,
        "spec": plan.spec_path,
        "selection": plan.selection,
        "jobs": [
            {
                "step": step,
                "job": job.name,
                "target": str(job.target),
                "shape": job.shape,
                "daemon": job.daemon,
                "workers": [f"{job.name}-{n + 1}" for n in range(job.workers)],
                "reads": job.reads,
                "writes": job.writes,
                "after": dict(job.after),
            }
            for step, job in in_starting_order(plan)
        ],
        "queues": plan.queues,
    }
