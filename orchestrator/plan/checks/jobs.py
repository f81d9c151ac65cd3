"""Rules on single jobs: their keys, limits and arguments, and on there being a job at all."""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterator
from pathlib import Path as FilePath
from typing import NamedTuple

from orchestrator.encoding import HINT, unfit
from orchestrator.errors import Problem
from orchestrator.plan.checks.commands import HOME
from orchestrator.plan.hidden_values import is_late_at
from orchestrator.plan.model import StartMethod
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.model import JobSettings
from orchestrator.spec.units import written_duration
from orchestrator.spec.wording import Guesses, did_you_mean, kind, listed, shortened
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Node, Path, ScalarNode, scalars_of
from orchestrator.spec.yaml.scalars import ScalarError, resolve

__all__ = ["RULES"]

_Scalar = tuple[str, ScalarNode]
_EXCEPTIONS = {
    name: value.__name__
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes, of Linux: NAME_MAX, and PATH_MAX without its end."""
_NEAR = 0.87
"""How like a builtin's a name must be: SyntaxEror is, ParseError and NotFoundError are not."""
_ALWAYS_FINE = 32
_TIMES_THE_PROCESSORS = 4
_OTHERWISE = {
    re.compile("yes|Yes|YES|on|On|ON"): ("true", "write true"),
    re.compile("no|No|NO|off|Off|OFF"): ("false", "write false"),
    re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII): (
        "a number of seconds or minutes",
        "write the number",
    ),
    re.compile(r"[-+]?(?:[1-9][0-9]*_[0-9_]*|0b[01_]+|0x[0-9a-fA-F]*_[0-9a-fA-F_]*)", re.ASCII): (
        "a number",
        "write it without _ or 0b",
    ),
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9:.]+(?: ?[-+Z][0-9:]*)?)?", re.ASCII): (
        "a date",
        "",
    ),
}
"""Unquoted text: what YAML 1.1 makes of it, and how to write that."""


def no_job(draft: ResolvedSpec) -> Iterator[Problem]:
    """There is a job to run."""
    jobs = draft.spec.tree.entries.get("jobs")
    if jobs is None or not isinstance(jobs.value, MappingNode):
        return  # what is wrong with that is told already
    if jobs.value.entries.keys() - draft.disabled.keys() or draft.spec.wrong & {(), ("jobs",)}:
        return
    if draft.disabled:
        message, hint = "every job is disabled", "enable one"
    else:
        message, hint = "there is no job", "add one under jobs:"
    yield draft.spec.problem(rules.NO_JOB, ("jobs",), message, hint)


def only_daemons(draft: ResolvedSpec) -> Iterator[Problem]:
    """Some job is no daemon; pointed out where none is, since nothing is done then."""
    if draft.broken or draft.spec.names("jobs") != (*draft.spec.document.jobs,):
        return
    if draft.jobs and all(job.settings.daemon for job in draft.jobs.values()):
        off = [name for name, job in draft.disabled.items() if not job.settings.daemon]
        every = "every job that is enabled" if draft.disabled else "every job"
        message = f"{every} is a daemon, which is ended when all others are done: nothing is done"
        hint = f"enable {off[0]}" if off else "remove daemon from a job that the run is for"
        yield draft.spec.problem(rules.ONLY_DAEMONS, ("jobs",), message, hint, key=True)


def unknown_signal(draft: ResolvedSpec) -> Iterator[Problem]:
    """A stop signal is one this system has and a process can handle."""
    known = draft.machine.stop_signals
    for path, settings in _settings(draft):
        name = settings.terminate.signal
        if "signal" not in settings.terminate.model_fields_set or name in known:
            continue
        if name in {"SIGKILL", "SIGSTOP"}:
            message, hint = f"no process can handle {name}", "it is killed after its grace anyway"
        else:
            message = f"{name} is no signal here"
            hint = f"write SIG{name}" if f"SIG{name}" in known else did_you_mean(name, known)
        place = (*path, "terminate", "signal")
        yield draft.spec.problem(rules.BAD_SIGNAL, place, message, hint)


def durable_fork(draft: ResolvedSpec) -> Iterator[Problem]:
    """A durable run's workers are not forked: they would inherit the open store."""
    if not draft.spec.document.durable:
        return
    for job in draft.jobs.values():
        if (job.settings.start_method or draft.machine.start_method) is StartMethod.FORK:
            message = "a worker of a durable run cannot be forked: it would inherit the open store"
            hint = "write forkserver or spawn"
            place = job.path("start_method")
            yield draft.spec.problem(rules.FORKED_DURABLE, place, message, hint)


def missing_start_method(draft: ResolvedSpec) -> Iterator[Problem]:
    """A start method is one this system has."""
    available = draft.machine.start_methods
    for path, settings in _settings(draft):
        method = settings.start_method
        if method is not None and method not in available:
            message = f"this system cannot start processes by {method.value}"
            hint = f"write {listed(each.value for each in available)}"
            place = (*path, "start_method")
            yield draft.spec.problem(rules.NO_START_METHOD, place, message, hint)


def pythonpath_in_env(draft: ResolvedSpec) -> Iterator[Problem]:
    """PYTHONPATH is not set where it would have no effect; the program of a command reads it."""
    for job in draft.jobs.values():
        if job.runs_command:
            continue
        method = job.settings.start_method or draft.machine.start_method
        if "PYTHONPATH" in job.settings.env and method is not StartMethod.SPAWN:
            own = "PYTHONPATH" in job.own.env
            message = f"PYTHONPATH has no effect on Python started by {method.value}"
            yield draft.spec.problem(
                rules.PYTHONPATH_IN_ENV,
                job.path("env", "PYTHONPATH") if own else ("defaults", "env", "PYTHONPATH"),
                message,
                "use pythonpath: at the top of the spec",
                key=True,
            )


def bad_env(draft: ResolvedSpec) -> Iterator[Problem]:
    """A variable's name is one the system can hold."""
    for path, settings in _settings(draft):
        for name in settings.env:
            if not name or "=" in name:
                message = f'"{name}" cannot name an environment variable'
                place, hint = (*path, "env", name), "remove it, or give it a name without ="
                yield draft.spec.problem(rules.BAD_VARIABLE, place, message, hint, key=True)


def bad_exception(draft: ResolvedSpec) -> Iterator[Problem]:
    """Check that what on_error names could be exceptions."""
    for path, settings in _settings(draft):
        policies = settings.on_error if isinstance(settings.on_error, dict) else {}
        for name in policies:
            if not all(part.isidentifier() for part in name.split(".")):
                message = f'"{name}" cannot name an exception'
                hint = "write ValueError, package.module.Error, or else"
                place = (*path, "on_error", name)
                yield draft.spec.problem(rules.BAD_EXCEPTION, place, message, hint, key=True)


def doubtful_exception(draft: ResolvedSpec) -> Iterator[Problem]:
    """A name under on_error that is nearly a builtin exception's, or an alias, is pointed out."""
    known = Guesses(_EXCEPTIONS, cutoff=_NEAR)
    for path, settings in _settings(draft):
        policies = settings.on_error if isinstance(settings.on_error, dict) else {}
        for name in policies:
            if not (doubt := _doubt(name, known)):
                continue
            message, hint = doubt
            place = (*path, "on_error", name)
            yield draft.spec.problem(rules.DOUBTFUL_EXCEPTION, place, message, hint, key=True)


def _doubt(name: str, known: Guesses) -> tuple[str, str] | None:
    """Return why `name` may match nothing, and what to do; None if it is as good as any."""
    if builtin := _EXCEPTIONS.get(name):
        if builtin == name:
            return None
        return f"{name} is only another name of {builtin}, and matches nothing", f"write {builtin}"
    if meant := known.hint(name):
        message = f"Python has no exception {name}: it matches only a class of that name of yours"
        return message, f"{meant} (if it is yours, write package.module.{name})"
    return None


def missing_folder(draft: ResolvedSpec) -> Iterator[Problem]:
    """Folders that the spec names and that are not there are pointed out."""
    spec = draft.spec
    places: list[tuple[Path, str]] = [
        (("pythonpath", index), entry) for index, entry in enumerate(spec.document.pythonpath)
    ]
    places += [
        ((*path, "cwd"), settings.cwd)
        for path, settings in _settings(draft)
        if "cwd" in settings.model_fields_set
    ]
    for path, folder in places:
        if is_late_at(spec, path):
            continue
        hint = "relative paths start at the spec's folder"
        place = spec.project_dir / folder
        if _is_too_long(place):
            message = f"there can be no folder {shortened(folder)}: its name is too long"
            yield spec.problem(rules.LONG_PATH, path, message, hint)
        elif what := unfit(folder):
            message = f"{folder} names no folder: it has {what}"
            yield spec.problem(rules.NO_FOLDER, path, message, HINT)
        elif not draft.machine.has(place):
            if HOME.fullmatch(folder):
                hint = "~ is not expanded: write ${HOME}"
            yield spec.problem(rules.NO_FOLDER, path, f"there is no folder {place}", hint)


def _is_too_long(path: FilePath) -> bool:
    encoded = str(path).encode("utf-8", "surrogatepass")
    longest = max(map(len, encoded.split(b"/")))
    return longest > _LONGEST_NAME or len(encoded) > _LONGEST_PATH


def _settings(draft: ResolvedSpec) -> Iterator[tuple[Path, JobSettings]]:
    """Yield where settings are written: the defaults, and each job's own."""
    yield ("defaults",), draft.spec.document.defaults
    for job in draft.jobs.values():
        yield job.path(), job.own


# Limits that contradict each other, and those that the machine cannot keep.


class _Written(NamedTuple):
    """What was written in one place, of a job or of the defaults, and all that holds there."""

    path: Path
    own: JobSettings
    all: JobSettings


def _written(draft: ResolvedSpec) -> Iterator[_Written]:
    defaults = draft.spec.document.defaults
    yield _Written(("defaults",), defaults, defaults)
    for job in draft.jobs.values():
        if job.name not in draft.broken:
            yield _Written(job.path(), job.own, job.settings)


def outrun_limit(draft: ResolvedSpec) -> Iterator[Problem]:
    """A limit of time can be reached before another one that ends the worker anyway."""
    whole = draft.spec.document.timeout
    for written in _written(draft):
        run = written.all.timeouts.run
        for keys, limit in _limits(written.own):
            if run is not None and limit > run and keys[-1] in ("item", "join"):
                sooner = f"timeouts.run ends the worker after {written_duration(run)}"
            elif whole is not None and limit > whole:
                sooner = f"timeout ends the whole run after {written_duration(whole)}"
            else:
                continue
            message = f"{written_duration(limit)} is never reached: {sooner}"
            place, hint = (*written.path, *keys), "make it shorter, or the other one longer"
            yield draft.spec.problem(rules.OUTRUN_LIMIT, place, message, hint)


def _limits(own: JobSettings) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the limits of time that were written there, by their keys."""
    timeouts = own.timeouts
    for name in ("start", "item", "run"):
        limit = getattr(timeouts, name)
        if limit is not None and name in timeouts.model_fields_set:
            yield ("timeouts", name), limit
    if own.join is not None:
        yield ("join",), own.join


def long_grace(draft: ResolvedSpec) -> Iterator[Problem]:
    """A stop takes no longer than the whole run may."""
    whole = draft.spec.document.timeout
    for written in _written(draft):
        terminate = written.own.terminate
        if whole is None or terminate.grace <= whole or "grace" not in terminate.model_fields_set:
            continue
        grace = written_duration(terminate.grace)
        message = f"a stop may take {grace}, and the whole run has {written_duration(whole)}"
        place = (*written.path, "terminate", "grace")
        hint = "write a shorter grace, or a longer timeout at the top"
        yield draft.spec.problem(rules.LONG_GRACE, place, message, hint)


def many_workers(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job has not many times more workers than there are processors."""
    here = draft.machine.processors
    for written in _written(draft):
        workers = written.own.workers
        if isinstance(workers, int) and workers > max(_ALWAYS_FINE, _TIMES_THE_PROCESSORS * here):
            processor = "processor" if here == 1 else "processors"
            message = f"{workers:,} processes would share {here:,} {processor}"
            hint = "write fewer, unless they wait for something most of the time"
            place = (*written.path, "workers")
            yield draft.spec.problem(rules.MANY_WORKERS, place, message, hint)


def more_than_memory(draft: ResolvedSpec) -> Iterator[Problem]:
    """Check that what the queues may hold fits into this machine's memory."""
    queues = draft.spec.document.queues
    bounds = {name: each.max_bytes for name, each in queues.items() if each.max_bytes is not None}
    total, memory = sum(bounds.values()), draft.machine.memory_bytes
    if memory is None or total <= memory:
        return
    largest = max(bounds, key=bounds.__getitem__)
    if bounds[largest] > memory:
        what = f"the queue {largest} may hold {_size(bounds[largest])}"
    else:
        what = f"{len(bounds)} queues may hold {_size(total)} together"
    message = f"{what}, and this machine has {_size(memory)} of memory"
    hint = "write a smaller max_bytes: a full queue makes its writers wait, no more"
    place = ("queues", largest, "max_bytes")
    yield draft.spec.problem(rules.MORE_THAN_MEMORY, place, message, hint)


def _size(n: int) -> str:
    from pydantic import ByteSize  # noqa: PLC0415 -- only where a limit is told

    return ByteSize(n).human_readable()


# Words in arguments that readers of YAML 1.1 take for something else.


def doubtful_word(draft: ResolvedSpec) -> Iterator[Problem]:
    """A word in an argument that is something else in YAML 1.1 is pointed out."""
    for path in (("defaults",), *(("jobs", name) for name in draft.jobs)):
        for key in ("args", "kwargs"):
            *_, last = (None, *draft.spec.tree.walk((*path, key)))
            if isinstance(last, Entry) and last.key == key:
                yield from _doubts(draft, (*path, key), last.value)


def _doubts(draft: ResolvedSpec, path: Path, node: Node) -> Iterator[Problem]:
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield from _doubts(draft, (*path, key), entry.value)
    elif not isinstance(node, ScalarNode):
        for index, item in enumerate(node.items):
            yield from _doubts(draft, (*path, index), item)
    elif isinstance(node.value, str) and not node.quoted:
        for pattern, (what, instead) in _OTHERWISE.items():
            if pattern.fullmatch(node.value):
                message = f'"{node.value}" is text here, {what} in YAML 1.1'
                hint = f'write "{node.value}" if it is text'
                if instead:
                    hint = f'{instead}, or "{node.value}" if it is text'
                yield draft.spec.problem(rules.DOUBTFUL_WORD, path, message, hint)


# Defaults of `${matrix.name}` are of the type that the values have.


def text_default(draft: ResolvedSpec) -> Iterator[Problem]:
    """A default in quotes, which is text, is no number that other jobs of the matrix have."""
    for made in draft.spec.families.values():
        for path, defaults, others in _places(draft, made):
            job, default = defaults
            other, value = others
            message = (
                f"the default is {kind(default.value)} in {job},"
                f" and the value in {other} is {kind(value.value)}"
            )
            mark = f"{path[-1]}:" if isinstance(path[-1], str) else "-"
            written = f"{mark} ${{{default.named[0].name}:-{default.value}}}"
            hint = f"it is typed on a line of its own, without quotes: {written}"
            yield draft.spec.problem(rules.TEXT_DEFAULT, ("jobs", job, *path), message, hint)


def _places(draft: ResolvedSpec, made: Collection[str]) -> Iterator[tuple[Path, _Scalar, _Scalar]]:
    """Yield where jobs of a matrix have a default that is text, and others another type."""
    defaults: dict[Path, _Scalar] = {}
    others: dict[Path, _Scalar] = {}
    for name in made:
        *_, job = draft.spec.tree.walk(("jobs", name))
        assert isinstance(job, Entry)
        for path, scalar in scalars_of(job.value):
            if _is_text_default(scalar):
                defaults.setdefault(path, (name, scalar))
            elif scalar.known and scalar.named and isinstance(scalar.value, bool | int | float):
                others.setdefault(path, (name, scalar))
    for path, default in defaults.items():
        if path in others:
            yield path, default, others[path]


def _is_text_default(scalar: ScalarNode) -> bool:
    """True if it is nothing but a default, in quotes, and would be no text without them."""
    is_default = len(scalar.named) == 1 and scalar.named[0].default and scalar.quoted
    if not is_default or not isinstance(scalar.value, str):
        return False
    try:
        return isinstance(resolve(scalar.value), bool | int | float)
    except ScalarError:
        return False


RULES = (
    no_job,
    only_daemons,
    unknown_signal,
    missing_start_method,
    durable_fork,
    pythonpath_in_env,
    bad_env,
    bad_exception,
    doubtful_exception,
    missing_folder,
    outrun_limit,
    long_grace,
    many_workers,
    more_than_memory,
    doubtful_word,
    text_default,
)
