"""Rules on keys that fit only some jobs, or have no effect: the table of docs/spec.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from orchestrator.errors import Problem
from orchestrator.plan.graph import readers_of
from orchestrator.plan.hidden_values import late_of
from orchestrator.plan.model import ReplayMode, Shape, WhenFull
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.model import FITS, JobSettings
from orchestrator.spec.parts import NAMED_INPUT, NO_INPUT, QueueSpec
from orchestrator.spec.wording import listed
from orchestrator.spec.yaml.nodes import Path, StartVar

__all__ = ["RULES"]

_WHAT = {
    Shape.TASK: "a job without input or named output",
    Shape.SOURCE: "a job without input",
    Shape.ITEM: "a job called once an item",
    Shape.BATCH: "a job called with batches",
    Shape.STREAM: "a job called once with a stream",
    Shape.HANDLES: "a job called once with handles",
}
_RESTART = ("restart",)
_EVERY = frozenset(Shape)


def misfit_key(draft: ResolvedSpec) -> Iterator[Problem]:
    """A key written for a job fits its shape; one in `defaults` counts only where it fits."""
    for job in draft.jobs.values():
        if job.name in draft.broken:
            continue
        for keys, shapes in FITS.items():
            if job.shape not in shapes and _is_written(job.own, keys):
                message = f"{'.'.join(keys)} does not fit {_WHAT[job.shape]}"
                path, hint = job.path(*keys), _remedy(keys[0], job)
                yield draft.spec.problem(rules.MISFIT_KEY, path, message, hint, key=True)


def _remedy(key: str, job: ResolvedJob) -> str:
    if key == "batch" and job.shape in NAMED_INPUT:
        if "call" in job.own.model_fields_set:
            return f"write call: batch in the place of call: {job.own.call}, or remove batch"
        return "add call: batch"
    if key == "call" and job.shape is Shape.HANDLES:
        return "name the queue (input: queue) to have items handed over, or remove call"
    if key == "ordered" and not job.settings.ordered:
        return "remove ordered"
    if not job.reads and key == "rate":
        return "remove rate, or give it to the job that reads: its full queue holds this one back"
    if not job.reads:
        return f"remove {key}, or give the job an input"
    if job.shape in NAMED_INPUT:
        return f"remove {key}, or call it once an item (call: item)"
    return f"remove {key}, or name the queue (input: queue) to be called once an item"


def restarted_source(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job without input is restarted only if it puts items, and what it has put is skipped."""
    for job in draft.jobs.values():
        if (
            job.name in draft.broken
            or job.shape not in NO_INPUT
            or not _is_written(job.own, _RESTART)
        ):
            continue
        path = job.path("restart")
        if not job.writes:
            message = "restart does not fit a job without input and output"
            hint = "remove restart"
            yield draft.spec.problem(rules.MISFIT_KEY, path, message, hint, key=True)
        elif job.settings.restart.replay is not ReplayMode.SKIP and job.settings.restart.max:
            message = f"{job.name} would put again what it has put before it died"
            hint = "add replay: skip, which compares and skips that, or remove restart"
            yield draft.spec.problem(rules.SOURCE_REPEATS, path, message, hint, key=True)


def several_sources(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job without input that has several workers runs once in each: pointed out.

    One whose workers are told which they are is meant so.
    """
    for job in draft.jobs.values():
        workers = job.settings.workers
        if job.reads or workers == 1 or job.name in draft.broken or not job.runs_anything:
            continue
        own = "workers" in job.own.model_fields_set
        where = "env" if job.runs_command else "args or kwargs"
        if not any(late.names(StartVar.WORKER_INDEX.value) for late in late_of(job, draft.spec)):
            yield draft.spec.problem(
                rules.WORKERS_REPEAT,
                job.path("workers") if own else ("defaults", "workers"),
                f"{job.name} has no input, so each of its {workers} workers does all of it",
                f"${{worker.index}} in {where} tells a worker which part is its own",
            )


def daemon_writer(draft: ResolvedSpec) -> Iterator[Problem]:
    """A queue that a daemon writes to is read by daemons only: it never ends."""
    readers = readers_of(draft.jobs)
    for job in draft.jobs.values():
        if not job.settings.daemon:
            continue
        for wire in job.writes:
            for reader in readers.get(wire.queue, ()):
                if not draft.jobs[reader].settings.daemon and reader not in draft.broken:
                    message = (
                        f"{reader} would never end: the daemon {job.name} runs until all "
                        f"others are done, and writes to its input {wire.queue}"
                    )
                    hint = f"remove daemon, or make {reader} a daemon too"
                    path = job.path("daemon")
                    yield draft.spec.problem(rules.ENDLESS_DAEMON, path, message, hint, key=True)


# Keys that are valid and without effect: beside another key, or as a default.


class _Void(NamedTuple):
    """A key that has no effect on jobs of which `why` gives a reason, and what to do then."""

    keys: tuple[str, ...]
    why: Callable[[ResolvedJob], str]
    hint: str


def _tried_once(job: ResolvedJob) -> str:
    once = job.settings.retry.attempts == 1
    return f"{job.name} tries each item once" if once else ""


def _not_replaced(job: ResolvedJob) -> str:
    return f"{job.name} replaces no worker: max is 0" if not job.settings.restart.max else ""


def _alone(job: ResolvedJob) -> str:
    alone = job.settings.batch.size == 1
    return f"a batch of {job.name} has one item and waits for no other" if alone else ""


def _runs_programs(job: ResolvedJob) -> str:
    program = f"it is the worker that is measured, not the program that {job.name} starts each time"
    return program if job.runs_command else ""


_VOID = (
    _Void(("retry", "backoff"), _tried_once, "write attempts: 2 or more, or remove backoff"),
    _Void(("restart", "within"), _not_replaced, "write max: 1 or more, or remove within"),
    _Void(("restart", "replay"), _not_replaced, "write max: 1 or more, or remove replay"),
    _Void(("batch", "within"), _alone, "write size: 2 or more, or remove within"),
    _Void(("recycle", "max_rss"), _runs_programs, "remove max_rss; limits.memory is the program's"),
)


def void_key(draft: ResolvedSpec) -> Iterator[Problem]:
    """A key has an effect beside the others of its job; pointed out where not."""
    for void in _VOID:
        fitting = [job for job in draft.jobs.values() if _fits(job, void.keys)]
        for job in fitting:
            if _is_written(job.own, void.keys) and (why := void.why(job)):
                yield _without_effect(draft, job.path(*void.keys), void, why)
        defaults = draft.spec.document.defaults
        if draft.broken or not (fitting and _is_written(defaults, void.keys)):
            continue
        whys = [void.why(job) for job in fitting]
        if all(whys):
            yield _without_effect(draft, ("defaults", *void.keys), void, whys[0])


def _without_effect(draft: ResolvedSpec, path: Path, void: _Void, why: str) -> Problem:
    message = f"{'.'.join(void.keys)} has no effect: {why}"
    return draft.spec.problem(rules.VOID_KEY, path, message, void.hint, key=True)


def idle_default(draft: ResolvedSpec) -> Iterator[Problem]:
    """A default fits the shape of a job; pointed out where it fits none."""
    jobs = [*draft.jobs.values(), *draft.disabled.values()]
    if draft.broken or not jobs:
        return
    defaults = draft.spec.document.defaults
    for keys in FITS:
        if _is_written(defaults, keys) and not any(_fits(job, keys) for job in jobs):
            key = ".".join(keys)
            message = f"{key} fits no job of this spec"
            hint = f"remove {key}, or give it to a job that it fits"
            path = ("defaults", *keys)
            yield draft.spec.problem(rules.IDLE_DEFAULT, path, message, hint, key=True)


def _fits(job: ResolvedJob, keys: tuple[str, ...]) -> bool:
    """True if a key fits the shape of the job, and those that it is a part of."""
    return all(job.shape in FITS.get(keys[: n + 1], _EVERY) for n in range(len(keys)))


def _is_written(settings: JobSettings, keys: tuple[str, ...]) -> bool:
    part = settings
    for key in keys[:-1]:
        if key not in part.model_fields_set:
            return False
        part = getattr(part, key)
    return keys[-1] in part.model_fields_set


# Jobs that keep the order of their input.


def impossible_order(draft: ResolvedSpec) -> Iterator[Problem]:
    """An ordered job has one input of its own, and outputs that wait for room."""
    readers = readers_of(draft.jobs)
    for job in _ordered(draft):
        for message, hint in _obstacles(draft, job, readers):
            path = job.path("ordered")
            yield draft.spec.problem(rules.NO_ORDER, path, message, hint, key=True)


def _obstacles(
    draft: ResolvedSpec, job: ResolvedJob, readers: dict[str, list[str]]
) -> Iterator[tuple[str, str]]:
    if not job.writes and "ordered" in job.own.model_fields_set:
        yield f"{job.name} has no output that could be in order", "remove ordered"
    if len(job.reads) > 1:
        queues = listed([wire.queue for wire in job.reads], last="and")
        message = f"{queues} have no order in common that {job.name} could keep"
        yield message, "give it one input; several jobs may write to that"
    for wire in job.reads:
        others = [name for name in readers.get(wire.queue, ()) if name != job.name]
        if others:
            message = f"{job.name} does not get all items of {wire.queue}: {others[0]} reads it too"
            yield message, "give each a queue of its own"
    for wire in job.writes:
        queue = draft.spec.document.queues.get(wire.queue)
        if queue is not None and (impatient := _impatience(queue)):
            message = f"the queue {wire.queue} does not wait for a turn: it has {impatient}"
            yield message, f"remove {impatient} there, or ordered here"


def _impatience(queue: QueueSpec) -> str:
    if queue.put_timeout is not None:
        return "put_timeout"
    return "when_full: fail" if queue.when_full is WhenFull.FAIL else ""


def narrow_window(draft: ResolvedSpec) -> Iterator[Problem]:
    """A window has a place for each worker: pointed out."""
    for job in _ordered(draft):
        ordered, workers = job.settings.ordered, job.settings.workers
        if ordered is None or ordered.window is None or ordered.window >= workers:
            continue
        message = f"of {workers} workers only {ordered.window} have a place in the window"
        path = job.path("ordered", "window")
        yield draft.spec.problem(rules.NARROW_WINDOW, path, message, f"write {workers} or more")


def _ordered(draft: ResolvedSpec) -> Iterator[ResolvedJob]:
    for job in draft.jobs.values():
        if job.name not in draft.broken and job.shape is Shape.ITEM and job.settings.ordered:
            yield job


RULES = (
    misfit_key,
    restarted_source,
    several_sources,
    daemon_writer,
    void_key,
    idle_default,
    impossible_order,
    narrow_window,
)
