"""`mporch dead`: the group, and its commands on letters as they are: list, show, export, debug."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, BinaryIO

import click

from orchestrator.console.groups import Group
from orchestrator.console.options import (
    Layering,
    env_file_option,
    format_option,
    job_option,
    letter_argument,
    letters_argument,
    queue_option,
    run_argument,
)
from orchestrator.console.printing import tell
from orchestrator.core.reasons import called
from orchestrator.errors import SpecError, UsageError
from orchestrator.features.deadletters.replay_command import drop, replay

if TYPE_CHECKING:
    from orchestrator.features.deadletters.choice import Choice
    from orchestrator.features.deadletters.debug import Trial, TrialEnd
    from orchestrator.plan.model import Plan
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.runlog.letters import Letter

__all__ = ["dead"]


_EPILOG = """\b
Examples:
  mporch dead list
  mporch dead show 3
  mporch dead debug 3 --pdb
  mporch dead replay --all
"""

_ELSEWHERE = {
    **dict.fromkeys(
        ("retry", "requeue", "redrive", "resend", "resubmit", "redeliver", "feed", "rerun"),
        "Did you mean replay?",
    ),
    **dict.fromkeys(("ls", "status", "count"), "Did you mean list?"),
    **dict.fromkeys(("view", "cat", "get", "print", "inspect", "describe"), "Did you mean show?"),
    **dict.fromkeys(("dump", "save", "write"), "Did you mean export?"),
    **dict.fromkeys(("pdb", "run", "call", "try"), "Did you mean debug?"),
    **dict.fromkeys(("ack", "discard", "dismiss", "ignore", "forget"), "Did you mean drop?"),
    **dict.fromkeys(
        ("clean", "rm", "remove", "prune", "delete", "purge"),
        "drop is done with letters. Their files go with the run's folder: rm -r .mporch/runs/ID",
    ),
}
"""Words that other tools have for commands of `mporch dead`, and what to say to them."""


class _OfLetters(Group):
    """The commands of `dead`."""

    elsewhere = _ELSEWHERE

    def hint_for(self, name: str, known: Collection[str]) -> str:
        """Return what to say to someone who wrote `name`: it may be the number of a letter."""
        if name[:1].isdecimal() and "T" not in name:
            return f"To show a letter: mporch dead show {name}"
        return super().hint_for(name, known)


@click.group(cls=_OfLetters, epilog=_EPILOG)
def dead() -> None:
    """Items that used up their attempts, and that `on_error: dead_letter` took out of a run.

    They are kept in the run's directory and numbered from 1. RUN is last (the default), an id of
    `mporch runs`, the beginning of one, or the path of a run directory; a number, or 3-7, is
    always that of a letter.
    """


dead.add_command(replay)
dead.add_command(drop)


_EPILOG_OF_LIST = """\b
Examples:
  mporch dead list
  mporch dead list 20261123T08 --job parse
  mporch dead list --format json | jq '.[].error'
"""


@dead.command("list", short_help="List the dead letters of a run.", epilog=_EPILOG_OF_LIST)
@run_argument
@job_option
@queue_option
@format_option
def list_letters(
    run_name: str,
    job: tuple[str, ...],
    queue: tuple[str, ...],
    format: str,  # noqa: A002 -- as the option
) -> int:
    """List the dead letters of RUN, in the order in which they were given up.

    The exit code is 1 if any of what is kept of them is damaged, which is then told.
    """
    from orchestrator.features.deadletters.choice import (  # noqa: PLC0415
        choose,
        data_of,
        render_letters,
        tell_damages,
        view_of,
    )
    from orchestrator.runlog.query import Filter, check_names  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415
    from orchestrator.views.text import escaped  # noqa: PLC0415

    choice = choose([run_name])
    if plan := choice.run.read_plan():
        check_names(Filter(jobs=frozenset(job), queues=frozenset(queue)), plan)
    chosen = [
        letter
        for letter in choice.letters
        if (not job or letter.job in job) and (not queue or letter.queue in queue)
    ]
    if format == "json":
        data = [data_of(choice, letter) for letter in chosen]
        print(json.dumps(data, indent=2))
    elif chosen:
        rows = [view_of(letter, choice.replayed[letter.letter]) for letter in chosen]
        print(render_letters(rows, Paper.of(sys.stdout)), end="")
        one = f"{choice.run_name} {rows[0].letter}"
        then = f"then mporch dead replay {choice.run_name} --all"
        dropped = len(choice.undropped) < len(choice.letters)
        ended = "replayed or dropped" if dropped else "replayed"
        tell(
            f"more: mporch dead show {one}, or debug; "
            f"{then if choice.unreplayed else f'all of the run were {ended}'}"
        )
        if others := choice.elsewhere():
            tell(others)
    elif choice.letters:
        whose = ", ".join([*job, *queue])
        tell(f"run {choice.run.run_id} has no dead letters of {whose}")
    elif not choice.damaged:
        tell(choice.missing())
    for kept in choice.keepsakes:
        item = called(kept.item, escaped(kept.item_name))
        tell(
            f"kept, and no dead letter: {item}, which has failed {kept.job};"
            f" mporch dead show {choice.run_name} {kept.item}, or debug"
        )
    return tell_damages(choice, chosen)


_EPILOG_OF_SHOW = """\b
Examples:
  mporch dead show 3
  mporch dead show last 3 5-8
  mporch dead show 3 --format json | jq '.[0].value'
"""


@dead.command(short_help="Show all of a letter, its item too.", epilog=_EPILOG_OF_SHOW)
@letters_argument
@format_option
def show(run_and_numbers: tuple[str, ...], format: str) -> int:  # noqa: A002 -- the option's name
    """Show letters of RUN by their numbers: job, error, traceback, and the item.

    None of your code is run: an object of a class of yours is shown by the name of the class, with
    what was pickled of it. The exit code is 1 if any of what is kept is damaged.
    """
    from orchestrator.features.deadletters.choice import (  # noqa: PLC0415
        choose,
        data_of,
        open_item,
        render_letter,
        tell_damages,
        view_of,
    )
    from orchestrator.opening.opener import Opener, OpenRequest  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    choice = choose(run_and_numbers)
    letters = _chosen(choice)
    with Opener() as opener:
        if format == "json":
            data = []
            for letter in letters:
                opened = open_item(choice, letter, opener, OpenRequest.JSON)
                data.append(data_of(choice, letter, opened))
            print(json.dumps(data, indent=2))
            return tell_damages(choice, letters)
        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.TEXT)
            view = view_of(letter, choice.replayed[letter.letter], opened)
            print(render_letter(view, Paper.of(sys.stdout)), end="")
    return tell_damages(choice, letters)


def _chosen(choice: Choice) -> tuple[Letter, ...]:
    """Return the letters that were named; the only one of a run, or its keepsakes, need not be."""
    choice.require(keepsakes=True)
    if choice.named or len(choice.letters) == 1:
        return choice.named or choice.letters
    if not choice.letters:
        return choice.keepsakes
    hint = f"`mporch dead list {choice.run_name}` lists its {len(choice.letters)}"
    raise UsageError("which letter? give its number", hint=hint)


_EPILOG_OF_EXPORT = """\b
Examples:
  mporch dead export | jq .value
  mporch dead export last 3 5-8 -o letters.jsonl
  mporch dead export --format pickle -o letters.pickle
"""
_LONGEST_REPR = 1_000_000


@dead.command(short_help="Write letters for other programs.", epilog=_EPILOG_OF_EXPORT)
@letters_argument
@click.option("-o", "--to", "file", metavar="FILE", help="Write a new FILE; else standard output.")
@click.option(
    "--format",
    type=click.Choice(["jsonl", "pickle"]),
    default="jsonl",
    show_default=True,
    help="A JSON object a line, or one pickle of a list of the items' own pickles.",
)
def export(run_and_numbers: tuple[str, ...], file: str | None, format: str) -> int:  # noqa: A002 -- the option's name
    """Write letters of RUN, all unless some are named, with their items.

    jsonl: `value` is the item if `item_is` is json, else how Python would write it (repr), or why
    it could not be read (unreadable). pickle: a list of bytes, each an item as it was pickled. None
    of your code is run. The exit code is 1 if any of what is kept is damaged.
    """
    from orchestrator.features.deadletters.choice import choose, tell_damages  # noqa: PLC0415

    choice = choose(run_and_numbers)
    choice.require()
    letters = choice.named or choice.letters
    if format == "pickle" and file is None and sys.stdout.isatty():
        raise UsageError("a pickle is not for a terminal", hint="name a file: -o letters.pickle")
    with _opened(file) as out:
        (_write_lines if format == "jsonl" else _write_pickle)(choice, letters, out)
    if file is not None:
        many = f"{len(letters)} letter{'' if len(letters) == 1 else 's'}"
        tell(f"mporch: wrote {many} to {file}")
    return tell_damages(choice, letters)


def _opened(file: str | None) -> BinaryIO:
    """Open a file that was not there before; letters are nobody else's to read."""
    if file is None or file == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already", hint="name a new file") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    return os.fdopen(fd, "wb")


def _write_lines(choice: Choice, letters: tuple[Letter, ...], out: BinaryIO) -> None:
    from orchestrator.features.deadletters.choice import data_of, open_item  # noqa: PLC0415
    from orchestrator.opening.opener import Opener, OpenRequest  # noqa: PLC0415

    with Opener() as opener:
        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.JSON, limit=_LONGEST_REPR)
            data = data_of(choice, letter, opened)
            out.write(json.dumps(data).encode("ascii") + b"\n")


def _write_pickle(choice: Choice, letters: tuple[Letter, ...], out: BinaryIO) -> None:
    """Write the items' pickles byte for byte; one that cannot be read is an error."""
    from orchestrator.features.deadletters.choice import open_item  # noqa: PLC0415
    from orchestrator.opening.opener import OpenedAs, Opener, OpenRequest  # noqa: PLC0415

    pickles = []
    with Opener() as opener:
        for letter in letters:
            opened = open_item(choice, letter, opener, OpenRequest.PICKLE)
            if opened.kind is not OpenedAs.PICKLE:
                raise UsageError(
                    f"letter {letter.letter} cannot be read: {opened.text}",
                    hint="name the others, or --format jsonl",
                )
            pickles.append(opened.pickled)
    out.write(pickle.dumps(pickles, 4))


_EPILOG_OF_DEBUG = """\b
Examples:
  mporch dead debug 3
  mporch dead debug last 3 --pdb
"""


@dead.command(short_help="Call the target on one letter's item.", epilog=_EPILOG_OF_DEBUG)
@letter_argument
@click.option("--pdb", is_flag=True, help="Stop in the debugger where it raises.")
@env_file_option
def debug(run_and_numbers: tuple[str, ...], env_files: tuple[str, ...], *, pdb: bool) -> int:
    """Call the target of a letter's job on its item, here and now.

    In a process set up as the worker was (directory, environment, limits, a class constructed and
    entered), but with this terminal, and without the time limits. What it returns, yields or puts
    is printed and goes nowhere else. The exit code is 0 if it went well, 1 if it raised.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415 -- not for --help
    from orchestrator.features.deadletters.debug import Outcome, run_trial  # noqa: PLC0415
    from orchestrator.runlog.find import open_to_run  # noqa: PLC0415

    choice = choose(run_and_numbers)
    choice.require(keepsakes=True)
    chosen = choice.named or choice.letters or choice.keepsakes
    if len(chosen) > 1:
        hint = f"`mporch dead list {choice.run_name}` lists the {len(choice.letters)}"
        raise UsageError("which letter? give the number of one", hint=hint)
    (letter,) = chosen
    with open_to_run(choice.run) as run:
        trial = _trial(run, letter, Layering(env_files=env_files), debug=pdb)
        tell(f"mporch: {trial.order.job.target} on {letter.item}")
        end = run_trial(trial)
    if verdict := _verdict(end):
        tell(f"mporch: {verdict}")
    return 0 if end.outcome is Outcome.RETURNED else 1


def _trial(run: RunDirectory, letter: Letter, layering: Layering, *, debug: bool) -> Trial:
    from orchestrator.features.deadletters.choice import place_of  # noqa: PLC0415
    from orchestrator.features.deadletters.debug import Trial  # noqa: PLC0415
    from orchestrator.ipc.order import Order  # noqa: PLC0415
    from orchestrator.plan.start_vars import at_start, settled  # noqa: PLC0415
    from orchestrator.runlog.letters import Chunks  # noqa: PLC0415

    plan = _plan_of(run, layering)
    job = plan.jobs.get(letter.job)
    if job is None:
        raise UsageError(f"the plan of run {run.run_id} has no job {letter.job}")
    place = place_of(run, letter)
    if damage := Chunks(run.path).damage(letter):
        raise UsageError(f"{letter.called} cannot be tried: {damage}")
    worker, index = letter.worker, int(letter.worker.rpartition("-")[2])
    run_dir = str(run.path)
    known = at_start(plan, job, run=run.run_id, run_dir=run_dir, worker=worker, index=index)
    order = Order(
        run=run.run_id,
        run_dir=run_dir,
        project_dir=plan.project_dir,
        pythonpath=plan.pythonpath,
        job=settled(job, plan.project_dir, known),
        worker=worker,
        index=index,
        queues={},
    )
    return Trial(order=order, item=letter.item, attempts=letter.attempts, place=place, debug=debug)


def _plan_of(run: RunDirectory, layering: Layering) -> Plan:
    """Compile the spec that the run has kept: what it has kept of its plan lacks the secrets."""
    from orchestrator.console.checking import Kept, check_spec  # noqa: PLC0415 -- the spec's model

    kept = run.read_plan()
    if kept is None:
        raise UsageError(f"run {run.run_id} has no plan")
    checked = check_spec(
        str(run.spec_path), layering=layering, kept=Kept(text=run.read_spec(), plan=kept)
    )
    if checked.plan is None:
        raise SpecError(checked.problems)
    return checked.plan


def _verdict(end: TrialEnd) -> str:
    """Say how it ended where the target's traceback does not."""
    from orchestrator.features.deadletters.debug import Outcome  # noqa: PLC0415

    if end.outcome is Outcome.RETURNED:
        return "it went well"
    if end.outcome is Outcome.RAISED:
        return ""
    if end.exit_code < 0:
        return f"the process was killed by {signal.Signals(-end.exit_code).name}"
    return f"the process ended with exit code {end.exit_code} before the call did"
