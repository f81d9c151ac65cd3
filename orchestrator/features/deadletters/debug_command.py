"""`mporch dead debug`: call the target on the item of a letter."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import Layering, env_file_option, letter_argument
from orchestrator.console.printing import tell
from orchestrator.errors import SpecError, UsageError

if TYPE_CHECKING:
    from orchestrator.features.deadletters.debug import Trial, TrialEnd
    from orchestrator.plan.model import Plan
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.runlog.letters import Letter

__all__ = ["debug"]

_EPILOG = """\b
Examples:
  mporch dead debug 3
  mporch dead debug last 3 --pdb
"""


@click.command(short_help="Call the target on one letter's item.", epilog=_EPILOG)
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
    choice.require()
    chosen = choice.named or choice.letters
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
        raise UsageError(f"letter {letter.letter} cannot be tried: {damage}")
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
