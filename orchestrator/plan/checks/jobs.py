"""Rules on a single job's keys, and on there being a job at all."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path as FilePath

from orchestrator.encoding import HINT, unfit
from orchestrator.errors import Problem
from orchestrator.plan.checks.unexpanded import HOME
from orchestrator.plan.hidden_values import is_late_at
from orchestrator.plan.model import StartMethod
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.model import JobSettings
from orchestrator.spec.wording import Guesses, did_you_mean, listed, shortened
from orchestrator.spec.yaml.nodes import MappingNode, Path

__all__ = ["RULES"]

_EXCEPTIONS = {
    name: value.__name__
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes, of Linux: NAME_MAX, and PATH_MAX without its end."""
_NEAR = 0.87
"""How like a builtin's a name must be: SyntaxEror is, ParseError and NotFoundError are not."""


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
)
