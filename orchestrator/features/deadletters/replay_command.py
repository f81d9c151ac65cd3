"""`mporch dead replay` and `drop`: feed dead letters back, or be done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.console import completing
from orchestrator.console.exits import exit_code_of
from orchestrator.console.options import Layering, env_file_option, letters_argument, run_options
from orchestrator.console.printing import is_on_a_terminal, says_yes, tell
from orchestrator.errors import ExitCode, UsageError
from orchestrator.files import is_folder

if TYPE_CHECKING:
    from orchestrator.app import Options
    from orchestrator.console.checking import Checked
    from orchestrator.features.deadletters.choice import Choice
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.runlog.letters import Letter

__all__ = ["chosen", "drop", "replay"]

_EPILOG = """\b
Examples:
  mporch dead replay --all
  mporch dead replay 20261123T08 3 5-8
  mporch dead replay --all --spec mended.yaml
"""


@click.command(short_help="Feed letters back, in a new run.", epilog=_EPILOG)
@letters_argument
@click.option("--all", "all_letters", is_flag=True, help="All that were not replayed before.")
@click.option(
    "--again",
    is_flag=True,
    help="With --all: those too that were replayed before; with numbers: those that were dropped.",
)
@click.option(
    "--spec",
    metavar="SPEC",
    help="Use this spec instead of the run's own.",
    shell_complete=completing.specs,
)
@env_file_option
@run_options()
def replay(
    *,
    run_and_numbers: tuple[str, ...],
    all_letters: bool,
    again: bool,
    spec: str | None,
    env_files: tuple[str, ...],
    options: Options,
) -> int:
    """Feed letters of RUN back through its pipeline, in a new run.

    It has the jobs that read the letters' queues, and all that these feed, as the spec of RUN has
    them; a job that was only `after` others is left out. The exit code is that of the new run; an
    item that fails again is a dead letter of that one.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415
    from orchestrator.runlog.find import open_to_run  # noqa: PLC0415
    from orchestrator.runlog.letters import DROPPED  # noqa: PLC0415

    choice = choose(run_and_numbers)
    letters = chosen(choice, "replayed", all_letters=all_letters, again=again)
    dropped = [each for each in letters if DROPPED in choice.replayed[each.letter]]
    if dropped and not again:
        hint = "--again replays it all the same"
        raise UsageError(f"letter {dropped[0].letter} was dropped (mporch dead drop)", hint=hint)
    with open_to_run(choice.run) as run:
        layering = Layering(env_files=env_files)
        return _replay(run, letters, spec, layering, options, replayed=choice.replayed)


def _replay(
    run: RunDirectory,
    letters: tuple[Letter, ...],
    spec: str | None,
    layering: Layering,
    options: Options,
    *,
    replayed: Mapping[int, tuple[str, ...]],
) -> int:
    from orchestrator.console.checking import show_problems  # noqa: PLC0415
    from orchestrator.features.deadletters.replay import Replay  # noqa: PLC0415 -- the whole product
    from orchestrator.features.deadletters.replay import replay as run_replay  # noqa: PLC0415

    checked = _checked(run, spec, layering)
    if checked.spec is None or checked.plan is None:
        show_problems(checked.problems, checked.texts)
        return ExitCode.USAGE
    told = ", ".join(f"{n} to {queue}" for queue, n in Counter(x.queue for x in letters).items())
    tell(f"mporch: replaying letters of {run.run_id}: {told}")
    wanted = Replay(
        run=run,
        letters=letters,
        plan=checked.plan,
        source=checked.spec.source,
        replayed=replayed,
    )
    return run_replay(wanted, options, exit_code_of)


def chosen(
    choice: Choice, what: str, *, all_letters: bool, again: bool = False
) -> tuple[Letter, ...]:
    """Return the letters that are to be `what` (replayed, dropped). Raises UsageError if none."""
    choice.require()
    if choice.named:
        if all_letters:
            raise UsageError("either numbers of letters or --all, not both")
        return choice.named
    if not all_letters:
        hint = f"`mporch dead list {choice.run_name}` lists them"
        raise UsageError("which letters? give their numbers, or --all", hint=hint)
    if choice.damaged:
        hint = f"name those that are to be {what}: mporch dead list {choice.run_name}"
        raise UsageError("; ".join(choice.damaged), hint=hint)
    fresh = choice.undropped if again else choice.unreplayed
    if not fresh:
        raise _nothing_fresh(choice)
    return fresh


def _nothing_fresh(choice: Choice) -> UsageError:
    from orchestrator.runlog.letters import DROPPED  # noqa: PLC0415

    went_into = {run for runs in choice.replayed.values() for run in runs}
    what = "replayed or dropped before" if DROPPED in went_into else "replayed before"
    runs = ", ".join(sorted(went_into - {DROPPED}))
    again = f"`mporch dead replay {choice.run_name} --all --again` feeds these back once more"
    hint = "; ".join(filter(None, (choice.command_elsewhere(), again)))
    message = f"all letters of {choice.run.run_id} were {what}{f', in {runs}' if runs else ''}"
    return UsageError(message, hint=hint)


def _checked(run: RunDirectory, spec: str | None, layering: Layering) -> Checked:
    """Check the spec that was given, or the one that the run was made with, in its folder.

    Of either it is the part that the run was of.
    """
    from orchestrator.console.checking import Kept, check_spec  # noqa: PLC0415 -- the spec's model
    from orchestrator.plan.model import Selection  # noqa: PLC0415

    plan = run.read_plan()
    if spec is not None:
        selection = plan.selection if plan is not None else Selection()
        return check_spec(spec, layering=layering, selection=selection)
    if plan is None:
        raise UsageError(f"run {run.run_id} has no plan", hint="name a spec: --spec jobs.yaml")
    folder = Path(plan.project_dir)
    if not is_folder(folder):
        hint = "name a spec that lies where the code is now: --spec new/jobs.yaml"
        raise UsageError(f"the project folder of the run is gone: {folder}", hint=hint)
    kept = Kept(text=run.read_spec(), plan=plan)
    return check_spec(str(run.spec_path), layering=layering, kept=kept)


_EPILOG_OF_DROP = """\b
Examples:
  mporch dead drop 3 5-8
  mporch dead drop 20261123T08 --all --yes
"""


@click.command(short_help="Be done with letters that nobody will replay.", epilog=_EPILOG_OF_DROP)
@letters_argument
@click.option("--all", "all_letters", is_flag=True, help="All that were not replayed or dropped.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(run_and_numbers: tuple[str, ...], *, all_letters: bool, yes: bool) -> int:
    """Note that nobody will replay these letters of RUN: they do not count as open any more.

    They stay in the run's directory, and `show`, `export` and `debug` take them as before.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415
    from orchestrator.features.deadletters.replay import ranges_of  # noqa: PLC0415
    from orchestrator.runlog.letters import DROPPED, note_dropped  # noqa: PLC0415

    choice = choose(run_and_numbers)
    letters = chosen(choice, "dropped", all_letters=all_letters)
    fresh = [each.letter for each in letters if DROPPED not in choice.replayed[each.letter]]
    many = f"{len(fresh)} letter{'' if len(fresh) == 1 else 's'} of {choice.run.run_id}"
    if fresh and not yes:
        if not is_on_a_terminal():
            raise UsageError("nobody is there to be asked", hint="--yes drops them unasked")
        if not says_yes(f"Drop {many} ({', '.join(ranges_of(sorted(fresh)))})?"):
            tell("mporch: nothing was dropped")
            return ExitCode.FAILED
    note_dropped(choice.run.path, fresh)
    before = f" ({len(letters) - len(fresh)} were dropped before)" * (len(fresh) < len(letters))
    tell(f"mporch: dropped {many}{before}")
    return ExitCode.OK
