"""Shell completion of arguments and options: runs, jobs, workers, queues, letters, specs.

A completion never fails: where nothing can be found out, nothing is offered.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import shell_completion
from click.shell_completion import CompletionItem, split_arg_string

from orchestrator.console.words import DEFAULT_SPEC, SUFFIXES, is_spec
from orchestrator.errors import MporchError

if TYPE_CHECKING:
    from orchestrator.plan.model import Plan
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.spec import LoadedSpec

__all__ = [
    "ZshComplete",
    "cases",
    "codes",
    "jobs",
    "letters",
    "live_queues",
    "live_runs",
    "live_workers",
    "queues",
    "runs",
    "spec_jobs",
    "specs",
    "specs_and_jobs",
    "tags",
    "workers",
]

_MOST_RUNS = 30

Offer = Callable[[click.Context, str], Iterable[CompletionItem]]
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(offer: Offer) -> Completer:
    """Make a function that click calls: it offers what begins as the word does, or nothing."""

    @functools.wraps(offer)
    def complete(ctx: click.Context, _: click.Parameter, word: str) -> list[CompletionItem]:
        try:
            return [item for item in offer(ctx, word) if str(item.value).startswith(word)]
        except (MporchError, OSError, ValueError):
            return []

    return complete


@_completer
def specs(_: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer files."""
    yield CompletionItem(word, type="file")


@_completer
def specs_and_jobs(ctx: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer files as the first word, and the jobs of the spec."""
    if not ctx.params.get("words"):
        yield CompletionItem(word, type="file")
    yield from spec_jobs(ctx, ctx.command.params[0], word)


@_completer
def spec_jobs(ctx: click.Context, _: str) -> Iterator[CompletionItem]:
    """Offer the jobs of the spec that the command line names so far."""
    for name, job in _spec(ctx).document.jobs.items():
        line = job.command if isinstance(job.command, str) else " ".join(job.command)
        yield CompletionItem(name, help=job.description or job.target or line.partition("\n")[0])


@_completer
def tags(ctx: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer the tags of the spec's jobs, behind those that are written already."""
    before = word[: word.rfind(",") + 1]
    found: dict[str, list[str]] = {}
    for name, job in _spec(ctx).document.jobs.items():
        for tag in (job.tags,) if isinstance(job.tags, str) else job.tags:
            found.setdefault(tag, []).append(name)
    for tag, names in found.items():
        yield CompletionItem(before + tag, help=", ".join(names))


def _spec(ctx: click.Context) -> LoadedSpec:
    """Return the spec that the command line names so far; raises SpecError."""
    from orchestrator.spec import Layers, load  # noqa: PLC0415

    # click knows no arguments while it completes an option: then the first file is the spec.
    written = split_arg_string(os.environ.get("COMP_WORDS", ""))[2:]
    words = ctx.params.get("words") or [word for word in written if Path(word).suffix in SUFFIXES]
    files = list(ctx.params.get("files") or ())
    spec = [word for word in words[:1] if is_spec(word)]
    name = [*spec, *files, DEFAULT_SPEC][0]
    if name == "-":
        raise MporchError("standard input is not for completions")
    return load(name, layers=Layers(files=files if spec else files[1:]))


@_completer
def runs(_: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer `last` and the latest runs of this project, or a directory if the word is a path."""
    from orchestrator.runlog.find import LAST, find_home, list_runs  # noqa: PLC0415

    if os.sep in word or word.startswith("."):
        yield CompletionItem(word, type="dir")
        return
    home = find_home(Path.cwd(), os.environ)
    found = list_runs(home) if home else []
    if found:
        yield CompletionItem(LAST, help=_how(found[-1]))
    for run in reversed(found[-_MOST_RUNS:]):
        yield CompletionItem(run.run_id, help=_how(run))


@_completer
def live_runs(_: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer the runs of this project that go on, or a directory if the word is a path."""
    from orchestrator.runlog.find import find_home, list_runs  # noqa: PLC0415

    if os.sep in word or word.startswith("."):
        yield CompletionItem(word, type="dir")
        return
    home = find_home(Path.cwd(), os.environ)
    for run in reversed(list_runs(home) if home else []):
        if run.is_alive:
            plan = run.read_plan()
            yield CompletionItem(run.run_id, help=plan.name if plan is not None else "")


@_completer
def live_queues(ctx: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer runs that go on as the first word, and the queues of the one that is meant."""
    from orchestrator.runlog.find import find_home, list_runs, resolve_here  # noqa: PLC0415

    words = ctx.params.get("words") or ()
    if words:
        found = [resolve_here(words[0])]
    else:
        yield from live_runs(ctx, ctx.command.params[0], word)
        home = find_home(Path.cwd(), os.environ)
        found = [run for run in list_runs(home) if run.is_alive] if home else []
    plan = found[0].read_plan() if len(found) == 1 else None
    if plan is not None:
        for queue in plan.queues.values():
            ways = f"from {', '.join(queue.writers)} to {', '.join(queue.readers)}"
            yield CompletionItem(queue.name, help=ways)


@_completer
def live_workers(ctx: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer runs that go on as the first word, and jobs and workers of the one that is meant."""
    from orchestrator.runlog.find import find_home, list_runs, resolve_here  # noqa: PLC0415

    words = ctx.params.get("words") or ()
    if words:
        found = [resolve_here(words[0])]
    else:
        yield from live_runs(ctx, ctx.command.params[0], word)
        home = find_home(Path.cwd(), os.environ)
        found = [run for run in list_runs(home) if run.is_alive] if home else []
    plan = found[0].read_plan() if len(found) == 1 else None
    for job in plan.jobs.values() if plan is not None else ():
        yield CompletionItem(job.name, help=str(job.target))
        for number in range(job.workers):
            yield CompletionItem(f"{job.name}-{number + 1}", help=str(job.target))


@_completer
def jobs(ctx: click.Context, _: str) -> Iterator[CompletionItem]:
    """Offer the jobs of the run."""
    for job in _plan(ctx).jobs.values():
        yield CompletionItem(job.name, help=str(job.target))


@_completer
def workers(ctx: click.Context, _: str) -> Iterator[CompletionItem]:
    """Offer the workers of the run."""
    for job in _plan(ctx).jobs.values():
        for number in range(job.workers):
            yield CompletionItem(f"{job.name}-{number + 1}", help=str(job.target))


@_completer
def queues(ctx: click.Context, _: str) -> Iterator[CompletionItem]:
    """Offer the queues of the run."""
    for queue in _plan(ctx).queues.values():
        ways = f"from {', '.join(queue.writers)} to {', '.join(queue.readers)}"
        yield CompletionItem(queue.name, help=ways)


@_completer
def cases(ctx: click.Context, _: str) -> Iterator[CompletionItem]:
    """Offer the cases of the spec."""
    from orchestrator.spec import load  # noqa: PLC0415 -- brings the spec's model

    for name, case in load(ctx.params.get("spec") or "jobs.yaml").document.tests.items():
        yield CompletionItem(name, help=case.description)


@_completer
def codes(_: click.Context, __: str) -> Iterator[CompletionItem]:
    """Offer the codes of all rules."""
    from orchestrator.spec.rules import CATALOGUE, text_of  # noqa: PLC0415 -- brings the text of all rules

    for code, rule in CATALOGUE.items():
        yield CompletionItem(code, help=text_of(rule).title)


@_completer
def letters(ctx: click.Context, word: str) -> Iterator[CompletionItem]:
    """Offer runs as the first word, and the numbers of the run's dead letters."""
    from orchestrator.runlog.letters import read_letters  # noqa: PLC0415

    if not ctx.params.get("run_and_numbers"):
        yield from runs(ctx, ctx.command.params[0], word)
    for letter in read_letters(_run(ctx).path):
        yield CompletionItem(str(letter.letter), help=f"{letter.job} {letter.item}")


def _run(ctx: click.Context) -> RunDirectory:
    """Return the run that the command line names so far; raises RunNotFoundError."""
    from orchestrator.runlog.find import LAST, resolve_here  # noqa: PLC0415

    named = ctx.params.get("run_name") or next(iter(ctx.params.get("run_and_numbers") or ()), "")
    name = LAST if not named or named.isdigit() else named
    return resolve_here(name)


def _plan(ctx: click.Context) -> Plan:
    plan = _run(ctx).read_plan()
    if plan is None:
        raise MporchError("the run has no plan that can be read")
    return plan


def _how(run: RunDirectory) -> str:
    summary = run.read_summary()
    if summary is None:
        return "running" if run.is_alive else "died"
    return f"{summary.name} {summary.status}"


class ZshComplete(shell_completion.ZshComplete):
    """Completion for zsh: click's, with files and other words side by side.

    The function of the shell reads three lines an item, and the shell drops empty ones: the place
    for files, whose word is empty at first, would eat the item behind it. So no line is empty.
    """

    def format_completion(self, item: shell_completion.CompletionItem[Any]) -> str:
        """Return the lines of an item: its kind, its word, and what is said of it."""
        return super().format_completion(item) if item.value else f"{item.type}\n_\n_"
