"""`mporch stack`: where each worker of a run that goes on is now, in the user's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from orchestrator.console import completing
from orchestrator.console.options import format_option
from orchestrator.console.printing import print_json, say, tell
from orchestrator.errors import MporchError, RunNotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.control.client import ControlClient
    from orchestrator.core.samples import Header
    from orchestrator.core.stacks import ShownStack, ThreadStack, WorkerStack
    from orchestrator.runlog.directory import RunDirectory

__all__ = ["stack"]

_EPILOG = """\b
Examples:
  mporch stack
  mporch stack parse-2
  mporch stack 20261123T08 parse --format json
"""
_PATIENCE_S = 5.0
"""A worker has half a second; its agent may be far away."""

_USE = "mporch stack [RUN] [JOB|WORKER]"


@click.command(epilog=_EPILOG)
@click.argument(
    "words", nargs=-1, metavar="[RUN] [JOB|WORKER]", shell_complete=completing.live_workers
)
@format_option
def stack(words: tuple[str, ...], format: str) -> None:  # noqa: A002 -- the option's name
    """Show where each worker of RUN is now: its Python stack, its item, and for how long.

    Nothing is ended and nothing waits: a worker answers from wherever it is, also while C code
    holds the interpreter's lock. mporch's own frames are left out. Of a command the processes are
    shown. RUN is the one that goes on; with several, an id of `mporch runs`, the beginning of one,
    or the path of a run directory.
    """
    from orchestrator.control.client import ControlClient  # noqa: PLC0415

    run, who = _run_and_who(words)
    with ControlClient(run) as client:
        _require_worker(client.header, who)
        found = list(_stacks(client, who))
        places = {job.name: n for n, job in enumerate(client.header.jobs)}
    found.sort(key=lambda each: (places.get(each.job, 0), len(each.worker), each.worker))
    if format == "json":
        print_json([_data(each) for each in found])
        return
    for n, each in enumerate(found):
        if n:
            say("")
        for line in _lines(each):
            say(line)


def _run_and_who(words: tuple[str, ...]) -> tuple[RunDirectory, str]:
    """Return the run and the job or worker that is meant; one word may be either."""
    from orchestrator.control.live import live_run  # noqa: PLC0415

    match words:
        case ():
            return live_run(None), ""
        case (word,):
            try:
                return live_run(word), ""
            except RunNotFoundError as error:
                run = _only_run_with(word)
                if run is None:
                    raise _neither(word, error) from None
                return run, word
        case (run_name, who):
            return live_run(run_name), who
    raise UsageError(f"{words[2]} is one word too many", hint=_USE)


def _neither(word: str, error: RunNotFoundError) -> RunNotFoundError:
    """Return the error of a word that names no run that goes on, nor a part of the only one."""
    from orchestrator.control.live import live_run  # noqa: PLC0415

    try:
        plan = live_run(None).read_plan()
    except MporchError:
        return error
    jobs = f"its jobs are {', '.join(plan.jobs)}" if plan is not None else ""
    return RunNotFoundError(f"no run, and no job or worker, is called {word!r}", hint=jobs)


def _require_worker(header: Header, who: str) -> None:
    """Raise UsageError if the run has no job or worker of that name; "" is all of them."""
    jobs = {job.name: job for job in header.jobs}
    name, _, number = who.rpartition("-")
    if not who or who in jobs or (name in jobs and 1 <= _int(number) <= jobs[name].workers):
        return
    hint = f"its jobs are {', '.join(jobs)}"
    if name in jobs:
        hint = f"{name} has {jobs[name].workers} worker{'s' * (jobs[name].workers != 1)}"
    raise UsageError(f"run {header.run} has no job or worker {who!r}", hint=hint)


def _int(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _only_run_with(who: str) -> RunDirectory | None:
    """Return the run that goes on, if it is the only one and has a job or worker of that name."""
    from orchestrator.control.live import live_run  # noqa: PLC0415

    try:
        run = live_run(None)
    except RunNotFoundError:
        return None
    plan = run.read_plan()
    names = plan.jobs.keys() if plan is not None else ()
    return run if who in names or who.rpartition("-")[0] in names else None


def _stacks(client: ControlClient, who: str) -> Iterator[ShownStack]:
    from orchestrator.control.protocol import AskStacks, Stack  # noqa: PLC0415

    client.send(AskStacks(who=who))
    left = 1
    while left:
        answer = client.receive(_PATIENCE_S)
        if answer is None:
            tell(f"mporch: not all have answered within {_PATIENCE_S:g} s")
            return
        if isinstance(answer, Stack):
            left = answer.left
            yield answer.shown


def _lines(shown: ShownStack) -> Iterator[str]:
    found = shown.stack
    if found is None:
        yield f"{shown.worker}  {_WITHOUT.get(shown.state, shown.state)}"
        return
    yield f"{shown.worker}  pid {found.pid}  {_at(shown, found)}"
    if found.why:
        yield f"  {found.why}"
    for thread in sorted(found.threads, key=lambda each: not each.is_main):
        yield from _frames(thread)
    for program in found.programs:
        what = _STATES.get(program.state, f"state {program.state}")
        yield f"  {program.name}  pid {program.pid}  {what}"
    if not (found.threads or found.programs or found.why):
        yield "  in no code of yours"


_WITHOUT = {"pending": "has not begun", "starting": "is being started: it has no process yet"}
_STATES = {
    "R": "runs",
    "S": "sleeps",
    "D": "hangs in a call of the kernel (state D)",
    "T": "is stopped (state T)",
    "t": "is stopped by a debugger (state t)",
}


def _at(shown: ShownStack, found: WorkerStack) -> str:
    from orchestrator.views.text import duration  # noqa: PLC0415

    if not found.blame.phase or shown.doing.startswith("waits"):
        return shown.doing or "between items"
    return f"{shown.doing or 'in its call'} for {duration(found.at_item_s)}"


def _frames(thread: ThreadStack) -> Iterator[str]:
    if not thread.is_main:
        yield f"  thread {thread.name}:"
    for file, line, name in thread.frames:
        yield f'  File "{file}", line {line}, in {name}'


def _data(shown: ShownStack) -> dict[str, Any]:
    about: dict[str, Any] = {
        "worker": shown.worker,
        "job": shown.job,
        "state": shown.state,
        "doing": shown.doing,
    }
    if (found := shown.stack) is None:
        return about
    return about | {
        "pid": found.pid,
        "process_state": found.state,
        "for_s": round(found.at_item_s, 6),
        "threads": [
            {
                "name": thread.name,
                "main": thread.is_main,
                "frames": [
                    {"file": file, "line": line, "name": name} for file, line, name in thread.frames
                ],
            }
            for thread in found.threads
        ],
        "threads_of_others": found.threads_ours,
        "programs": [
            {"pid": each.pid, "name": each.name, "state": each.state} for each in found.programs
        ],
        "why": found.why,
    }
