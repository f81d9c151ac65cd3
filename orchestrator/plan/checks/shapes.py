"""Rules on keys that fit only some shapes of jobs: the table of docs/spec.md."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.graph import readers_of
from orchestrator.plan.hidden_values import late_of
from orchestrator.plan.model import ReplayMode, Shape
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.yaml.nodes import StartVar

__all__ = ["FITS", "RULES"]

_PER_ITEM = frozenset({Shape.ITEM, Shape.BATCH})
_NAMED_INPUT = _PER_ITEM | {Shape.STREAM}
_ANY_INPUT = _NAMED_INPUT | {Shape.HANDLES}
_NO_INPUT = frozenset({Shape.SOURCE, Shape.TASK})

FITS: dict[tuple[str, ...], frozenset[Shape]] = {
    ("call",): _NAMED_INPUT,
    ("batch",): frozenset({Shape.BATCH}),
    ("on_error",): _PER_ITEM,
    ("retry",): _PER_ITEM,
    ("restart",): _PER_ITEM | _NO_INPUT,
    ("restart", "replay"): _NO_INPUT,
    ("recycle",): _PER_ITEM,
    ("rate",): frozenset({Shape.ITEM}),
    ("ordered",): frozenset({Shape.ITEM}),
    ("timeouts", "item"): _PER_ITEM,
    ("join",): _ANY_INPUT,
}
"""The keys that do not fit every job, with the shapes they fit."""

_WHAT = {
    Shape.TASK: "a job without input or named output",
    Shape.SOURCE: "a job without input",
    Shape.ITEM: "a job called once an item",
    Shape.BATCH: "a job called with batches",
    Shape.STREAM: "a job called once with a stream",
    Shape.HANDLES: "a job called once with handles",
}


def misfit_key(draft: ResolvedSpec) -> Iterator[Problem]:
    """A key written for a job fits its shape; one in `defaults` counts only where it fits."""
    for job in draft.jobs.values():
        if job.name in draft.broken:
            continue
        for keys, shapes in FITS.items():
            if job.shape not in shapes and _is_written(job, keys):
                message = f"{'.'.join(keys)} does not fit {_WHAT[job.shape]}"
                path, hint = job.path(*keys), _remedy(keys[0], job)
                yield draft.spec.problem(rules.MISFIT_KEY, path, message, hint, key=True)


def _is_written(job: ResolvedJob, keys: tuple[str, ...]) -> bool:
    part = job.own
    for key in keys[:-1]:
        part = getattr(part, key)
    return keys[-1] in part.model_fields_set


def _remedy(key: str, job: ResolvedJob) -> str:
    if key == "batch" and job.shape in _NAMED_INPUT:
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
    if job.shape in _NAMED_INPUT:
        return f"remove {key}, or call it once an item (call: item)"
    return f"remove {key}, or name the queue (input: queue) to be called once an item"


def restarted_source(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job without input is restarted only if it puts items, and what it has put is skipped."""
    for job in draft.jobs.values():
        if job.name in draft.broken or job.shape not in _NO_INPUT or not _is_written(job, _RESTART):
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


_RESTART = ("restart",)

RULES = (misfit_key, restarted_source, several_sources, daemon_writer)
