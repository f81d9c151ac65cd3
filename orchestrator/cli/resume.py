"""`mporch resume`: go on with a durable run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.console.exits import exit_code_of
from orchestrator.console.options import Layering, env_file_option, run_argument, run_options
from orchestrator.console.printing import is_on_a_terminal, says_yes
from orchestrator.errors import DamagedStoreError, ExitCode, ResumeError
from orchestrator.files import is_file

if TYPE_CHECKING:
    from orchestrator.app import Options
    from orchestrator.console.checking import Checked
    from orchestrator.plan.model import Plan
    from orchestrator.runlog.directory import RunDirectory

__all__ = ["resume"]

_EPILOG = """
The exit code is that of `mporch run`; 2 if the run cannot be resumed.

\b
Examples:
  mporch resume
  mporch resume 20261123T08
  mporch resume last --force
"""


@click.command(epilog=_EPILOG)
@run_argument
@click.option(
    "--force",
    is_flag=True,
    help="Go on, without a question, though the spec, its environment, a target's code or Python"
    " has changed.",
)
@click.option(
    "--salvage", is_flag=True, help="Go on though what was kept is damaged; says what is lost."
)
@env_file_option
@run_options(new=False)
def resume(
    *,
    run_name: str,
    env_files: tuple[str, ...],
    force: bool,
    salvage: bool,
    options: Options,
) -> int:
    """Go on with RUN (last), whose spec says `durable: true`.

    It was killed, stopped or has failed: what is done is not done again, what was queued is still
    there. Jobs that are called once are called again, with all the items they had; sources must
    repeat themselves.
    """
    from orchestrator.runlog.find import open_to_run, resolve_here  # noqa: PLC0415

    with open_to_run(resolve_here(run_name)) as run:
        _require_unfinished(run)
        _require_no_replay(run)
        return _resume(run, Layering(env_files=env_files), options, force=force, salvage=salvage)


def _resume(
    run: RunDirectory, layering: Layering, options: Options, *, force: bool, salvage: bool
) -> int:
    from orchestrator.app import execute  # noqa: PLC0415 -- the whole product
    from orchestrator.app.changes import changed_error, changes_since  # noqa: PLC0415
    from orchestrator.app.run_files import Resume  # noqa: PLC0415
    from orchestrator.console.checking import show_problems  # noqa: PLC0415

    asks = not force and is_on_a_terminal() and not run.is_alive
    checked, changed = _checked(run, layering, salvage=salvage)
    if changed and not (force or asks or _goes_on(checked)):
        raise changed_error(run, changed)
    if checked.spec is None or checked.plan is None:
        show_problems(checked.problems, checked.texts)
        return ExitCode.USAGE
    if not checked.plan.durability.keeps:
        raise ResumeError(
            f"run {run.run_id} is not durable: nothing of it was kept",
            hint="write `durable: true` at the top of the spec, and run it anew",
        )
    if asks:
        changes = (*changed, *changes_since(run, checked.plan))
        force = bool(changes) and _agreed(run, changes)
    wanted = Resume(directory=run, changed=changed, force=force, salvage=salvage)
    return execute(checked.plan, checked.spec.source, options, exit_code_of, resumed=wanted)


def _goes_on(checked: Checked) -> bool:
    """True if the spec is one of a run that can go on."""
    return checked.plan is not None and checked.plan.durability.keeps


def _require_unfinished(run: RunDirectory) -> None:
    summary = run.read_summary()
    if summary is not None and summary.status == "succeeded":
        raise ResumeError(
            f"run {run.run_id} has finished: there is nothing to go on with",
            hint=f"`mporch show {run.run_id}` tells how it went",
        )


def _require_no_replay(run: RunDirectory) -> None:
    """Say how to go on with a replay: none is durable, whatever the spec says that it is of."""
    from orchestrator.runlog.find import argument_for  # noqa: PLC0415 -- not for --help
    from orchestrator.runlog.letters import replayed_run  # noqa: PLC0415

    plan = run.read_plan()
    origin = replayed_run(plan) if plan is not None else None
    if origin is None:
        return
    name = argument_for(origin, Path.cwd(), os.environ)
    raise ResumeError(
        f"run {run.run_id} is a replay of dead letters of {origin.run_id}: no replay is durable",
        hint=f"`mporch dead replay {name} --all` feeds back those that do not count as replayed"
        f" (`mporch dead list {name}`); with --again, those too that may have got through",
    )


def _agreed(run: RunDirectory, changes: Sequence[str]) -> bool:
    """List what has changed and ask, once, whether to go on. Raises ResumeError if not."""
    from orchestrator.views.text import escaped  # noqa: PLC0415 -- hardly ever needed

    click.echo(f"This has changed since the last start of run {run.run_id}:", err=True)
    for change in changes:
        click.echo(f"  {escaped(change)}", err=True)
    question = "What is done is not done again. Go on with it as it is now?"
    if not says_yes(question):
        hint = "bring back what it was, or run the spec anew"
        raise ResumeError(f"run {run.run_id} was not resumed", hint=hint)
    return True


def _checked(
    run: RunDirectory, layering: Layering, *, salvage: bool
) -> tuple[Checked, tuple[str, ...]]:
    """Check the run's spec as it is now; return also what of it has changed, in words.

    One that was put together of several layers is kept as a whole, and is gone on with as it was.
    """
    from orchestrator.console.checking import Kept, check_spec  # noqa: PLC0415 -- the spec's model

    plan = run.read_plan() or _salvaged(run, salvage=salvage)
    kept = Kept(text=run.read_spec(), plan=plan)
    file = Path(plan.spec_path)
    if plan.layers or not is_file(file) or run.spec_is(file):
        return check_spec(str(run.spec_path), layering=layering, kept=kept), ()
    checked = check_spec(str(file), layering=layering, selection=plan.selection)
    return checked, (f"the spec: {file}",)


def _salvaged(run: RunDirectory, *, salvage: bool) -> Plan:
    """Return what of the plan the log tells.

    Raises ResumeError if that is nothing, or the run is not to be salvaged.
    """
    from orchestrator.runlog.directory import PLAN_NAME  # noqa: PLC0415
    from orchestrator.runlog.find import plan_of_log  # noqa: PLC0415

    if not is_file(run.log_path):  # which is made after the plan
        raise ResumeError(f"run {run.run_id} was killed before it had begun", hint="run it anew")
    damaged = f"{run.path / PLAN_NAME} is damaged or gone"
    plan = plan_of_log(run)
    if plan is None:
        why = "its log does not tell, either, which file its spec was"
        raise DamagedStoreError(f"{damaged}, and {why}", hint="run the spec anew")
    if not salvage:
        hint = f"--salvage makes it anew, from {run.spec_path.name} and the log"
        raise DamagedStoreError(damaged, hint=hint)
    return plan
