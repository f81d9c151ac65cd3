"""Compiler from a spec to its plan: all of it is checked, then frozen."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from orchestrator.errors import Problem, Severity, SpecError
from orchestrator.machine.machine import Machine
from orchestrator.masking import without_password
from orchestrator.plan import model
from orchestrator.plan.checks import check
from orchestrator.plan.graph import readers_of, writers_of
from orchestrator.plan.hidden_values import late_of, shown_at, shown_beneath, shown_of
from orchestrator.plan.model import Command
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, draft_of, node_at
from orchestrator.spec import LoadedSpec
from orchestrator.spec.declaration import SpecPart
from orchestrator.spec.model import KEYS, JobSettings
from orchestrator.spec.parts import QueueSpec, Retry
from orchestrator.spec.units import parse_interval_s
from orchestrator.spec.yaml.nodes import Path, ScalarNode
from orchestrator.targets.target import parse_target

__all__ = [
    "Compiled",
    "compile_spec",
    "told_once",
    "with_bounds_of",
]

_KEY: Path = ("command",)
_NEEDS_QUOTES = frozenset(" \t\n'\"\\$`;&|<>()*?#~")
_MOST_NAMED = 3
_UNIT = re.compile(r"_(s|bytes)$")
_ELSE = "else"
_WINDOW_A_WORKER = 4096
"""Items; the most that one lease has."""
_WINDOW = 1000
"""Items, where the input gives no maxsize: what is held back has no bound in bytes."""
_SOFT_BYTES = 16 << 20
"""Many small items, or few large ones: memory that nobody misses, and enough for any chunk."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A plan, the problems that do not keep it from running, and the jobs that are not enabled."""

    plan: model.Plan
    warnings: tuple[Problem, ...] = ()
    disabled: tuple[str, ...] = ()


def compile_spec(spec: LoadedSpec, machine: Machine) -> Compiled:
    """Check `spec` and return its plan on that machine, with the warnings.

    Runs nothing of the user's.

    Raises:
        SpecError: with every problem of the spec, warnings too, in file order.

    """
    draft = draft_of(spec, machine)
    lost = frozenset(".".join(map(str, path)) for path in spec.unresolved)
    checked = (problem for problem in check(draft) if problem.path not in lost)
    found = told_once([*spec.problems, *checked], spec.families)
    if any(problem.severity is Severity.ERROR for problem in found):
        raise SpecError(found)
    return Compiled(plan=_plan(draft), warnings=tuple(found), disabled=tuple(draft.disabled))


def _plan(draft: ResolvedSpec) -> model.Plan:
    spec, document = draft.spec, draft.spec.document
    readers, writers = readers_of(draft.jobs), writers_of(draft.jobs)
    return model.Plan(
        name=shown_at(spec, ("name",)) or spec.name,
        spec_path=str(spec.file) if spec.file is not None else spec.path,
        project_dir=str(spec.project_dir),
        layers=spec.layers,
        environment=spec.environment,
        instead=spec.instead,
        families={name: tuple(made) for name, made in spec.families.items()},
        shown=_shown_folders(spec),
        timeout_s=document.timeout,
        durability=_durability(document.durable),
        pythonpath=tuple(str(spec.project_dir / entry) for entry in document.pythonpath),
        queues={
            name: model.QueuePlan(
                name=name,
                writers=tuple(writers[name]),
                readers=tuple(readers[name]),
                soft_bytes=_soft_bytes(queue),
                **_keys(model.QueuePlan, queue),
            )
            for name, queue in document.queues.items()
            if name in readers
        },
        jobs={name: _job(job, draft) for name, job in draft.jobs.items()},
    )


def with_bounds_of(plan: model.Plan, kept: model.Plan, spec: LoadedSpec) -> model.Plan:
    """Return the plan with the bounds of a run begun before, where the same spec gives none.

    They were the defaults of their time.
    """
    queues = dict(plan.queues)
    for name, before in kept.queues.items():
        if name not in queues or "maxsize" in spec.document.queues[name].model_fields_set:
            continue
        if before.readers:  # else it had no bounds, as none of them was chosen
            queues[name] = msgspec.structs.replace(
                queues[name], maxsize=before.maxsize, soft_bytes=before.soft_bytes
            )
    return msgspec.structs.replace(plan, queues=queues)


def _soft_bytes(queue: QueueSpec) -> int | None:
    """Return the bound in bytes of a queue whose spec gives no bound at all."""
    written = "maxsize" in queue.model_fields_set or queue.max_bytes is not None
    return None if written else _SOFT_BYTES


def _shown_folders(spec: LoadedSpec) -> tuple[tuple[Path, str], ...]:
    paths: list[Path] = [("pythonpath", n) for n in range(len(spec.document.pythonpath))]
    return tuple((path, shown) for path in paths if (shown := shown_at(spec, path)) is not None)


def _job(job: ResolvedJob, draft: ResolvedSpec) -> model.JobPlan:
    settings, spec = job.settings, draft.spec
    shown, late = shown_of(job, spec), late_of(job, spec)
    folder = settings.cwd
    if all(value.path != ("cwd",) for value in late):
        folder = str(spec.project_dir / folder)
    is_command = job.runs_command
    return model.JobPlan(
        name=job.name,
        target=_command_of(job, spec) if is_command else parse_target(job.own.target),
        shape=job.shape,
        args=() if is_command else settings.args,
        kwargs={} if is_command else settings.kwargs,
        inputs=tuple(wire.queue for wire in job.reads if wire.parameter is None),
        outputs=tuple(wire.queue for wire in job.writes if wire.parameter is None),
        read_handles=tuple((w.parameter, w.queue) for w in job.reads if w.parameter is not None),
        write_handles=tuple((w.parameter, w.queue) for w in job.writes if w.parameter is not None),
        batch=_batch(job, spec.document.queues),
        after=tuple((each.job, each.state) for each in job.after if each.job not in draft.disabled),
        timeouts=_timeouts(job),
        join_s=settings.join if job.reads else None,
        terminate=model.TerminatePlan(
            signal=draft.machine.stop_signals[settings.terminate.signal],
            grace_s=settings.terminate.grace,
        ),
        on_error=model.ErrorPolicy() if job.shape.called_once else _error_policy(job),
        item_names=_item_names(job, spec.document.queues),
        retry=model.RetryPlan() if job.shape.called_once else _retry(settings.retry),
        restart=_restart(job, durable=bool(spec.document.durable)),
        limits=model.LimitsPlan(**_keys(model.LimitsPlan, settings.limits)),
        recycle=_recycle(job),
        rate=_rate(job),
        ordered=_ordered(job, spec.document.queues),
        env=tuple(settings.env.items()),
        cwd=folder,
        start_method=settings.start_method or draft.machine.start_method,
        shown=shown,
        late=late,
        **_copied(settings, dict(shown)),
    )


def _copied(settings: JobSettings, shown: Mapping[Path, str]) -> dict[str, Any]:
    """Return the keys that a job's plan has as they are written."""
    copied = [name for (name, *_), key in KEYS.items() if key.copied]
    return {name: shown.get((name,), getattr(settings, name)) for name in copied}


def _keys(part: type[msgspec.Struct], written: SpecPart) -> dict[str, Any]:
    """Return the fields of a part of the plan that are keys of the spec, with the unit behind."""
    known = type(written).model_fields
    keys = {name: name if name in known else _UNIT.sub("", name) for name in part.__struct_fields__}
    return {name: getattr(written, key) for name, key in keys.items() if key in known}


def _timeouts(job: ResolvedJob) -> model.TimeoutsPlan:
    limits = model.TimeoutsPlan(**_keys(model.TimeoutsPlan, job.settings.timeouts))
    return msgspec.structs.replace(limits, item_s=None) if job.shape.called_once else limits


def _batch(job: ResolvedJob, queues: Mapping[str, QueueSpec]) -> model.BatchPlan | None:
    """Return a batch job's batch; a size that was not written is no more than its queue holds."""
    if job.shape is not model.Shape.BATCH:
        return None
    batch, size = job.settings.batch, job.settings.batch.size
    if "size" not in batch.model_fields_set:
        bounds = (queues[wire.queue].maxsize for wire in job.reads)
        size = min([size, *filter(None, bounds)])
    return model.BatchPlan(size=size, within_s=batch.within)


def _item_names(job: ResolvedJob, queues: Mapping[str, QueueSpec]) -> tuple[tuple[str, str], ...]:
    """Return what its inputs' items are called: as the job says, or the queue, or the defaults."""
    own = "item_name" in job.own.model_fields_set
    named = []
    for wire in () if job.shape.called_once else job.reads:
        queue = queues[wire.queue]
        of_queue = not own and "item_name" in queue.model_fields_set
        name = queue.item_name if of_queue else job.settings.item_name
        named += [(wire.queue, name)] if name is not None else []
    return tuple(named)


def _retry(written: Retry) -> model.RetryPlan:
    backoff = written.backoff
    return model.RetryPlan(
        attempts=written.attempts,
        initial_s=min(backoff.initial, backoff.max),
        max_s=backoff.max,
    )


def _restart(job: ResolvedJob, *, durable: bool) -> model.RestartPlan:
    """Of jobs that are called once, only those that put items again and again alike restart."""
    written = job.settings.restart
    if not job.shape.called_once:
        return model.RestartPlan(max=written.max, within_s=written.within)
    most, replay = 0, model.ReplayMode.NEVER
    if job.reads:
        skips = durable
    elif written.replay is model.ReplayMode.SKIP and job.writes:
        most, skips = written.max, True
    else:
        skips = durable and written.replay is None
    if skips:
        replay = model.ReplayMode.SKIP
    return model.RestartPlan(
        max=most, before_call=written.max, within_s=written.within, replay=replay
    )


def _durability(written: bool | str) -> model.Durability:
    if written == "full":
        return model.Durability.FULL
    return model.Durability.ON if written else model.Durability.OFF


def _recycle(job: ResolvedJob) -> model.RecyclePlan:
    if job.shape.called_once:
        return model.RecyclePlan()
    return model.RecyclePlan(**_keys(model.RecyclePlan, job.settings.recycle))


def _rate(job: ResolvedJob) -> model.RatePlan | None:
    written = job.settings.rate
    if written is None or job.shape is not model.Shape.ITEM:
        return None
    interval_s = parse_interval_s(written.limit)
    return model.RatePlan(interval_s=interval_s, burst=written.burst, written=written.limit)


def _ordered(job: ResolvedJob, queues: Mapping[str, QueueSpec]) -> model.OrderedPlan | None:
    """Return how an ordered job is; a window that was not written is as long as makes sense.

    What is finished ahead counts into the bound of the input: more than that never is.
    """
    written = job.settings.ordered
    if written is None or job.shape is not model.Shape.ITEM or not job.writes:
        return None
    workers = job.settings.workers
    window = workers * _WINDOW_A_WORKER
    queue = queues[job.reads[0].queue]
    if bound := queue.maxsize if "maxsize" in queue.model_fields_set else _WINDOW:
        window = min(window, bound + workers)
    return model.OrderedPlan(window=written.window or window)


def _error_policy(job: ResolvedJob) -> model.ErrorPolicy:
    written = job.settings.on_error
    actions = written if isinstance(written, dict) else {_ELSE: written}
    return model.ErrorPolicy(
        by_exception=tuple(each for each in actions.items() if each[0] != _ELSE),
        otherwise=actions.get(_ELSE, model.ErrorAction.FAIL),
    )


# A problem that several jobs have is said once, and names the jobs that have it.


def told_once(
    problems: Iterable[Problem], families: Mapping[str, Collection[str]]
) -> list[Problem]:
    """Return problems in the order of the file; what several aliases repeat is said once.

    `families` are the jobs made of a matrix: what not all of them have names those that have it.
    """
    sizes = {name: len(made) for made in families.values() for name in made}
    by_place: dict[tuple[str, int, int, str], list[Problem]] = {}
    for problem in problems:
        place = problem.file, problem.line, problem.column, problem.message
        by_place.setdefault(place, []).append(problem)
    return [_named(by_place[place], sizes) for place in sorted(by_place)]


def _named(same: list[Problem], sizes: Mapping[str, int]) -> Problem:
    problem = same[-1]
    jobs = dict.fromkeys(job for each in same if (job := _job_of(each)) in sizes)
    if not jobs or len(jobs) == max(sizes[job] for job in jobs):
        return problem
    told = [job for job in jobs if job not in problem.message]
    if not told:
        return problem
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    names = f"job{'s' if len(told) > 1 else ''} {', '.join(told[:_MOST_NAMED])}{more}"
    return replace(problem, message=f"{problem.message} (in {names})")


def _job_of(problem: Problem) -> str:
    section, _, rest = problem.path.partition(".")
    return rest.partition(".")[0] if section == "jobs" else ""


# From a job that runs a command to what its workers are told of it.


def _command_of(job: ResolvedJob, spec: LoadedSpec) -> Command:
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
        stdin=job.stdin,
        stdout=job.stdout,
        exit_codes=job.own.exit_codes,
        tty=job.own.tty,
    )


def _word(argument: str) -> str:
    """Return an argument as one writes it in a shell; only what must be is quoted."""
    return argument if argument and not set(argument) & _NEEDS_QUOTES else shlex.quote(argument)


def _in_short(text: str) -> str:
    first, *more = text.strip().splitlines()
    return f"{first} …" if more else first
