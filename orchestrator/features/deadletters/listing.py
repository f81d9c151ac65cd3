"""`mporch dead list`: the dead letters of a run."""

from __future__ import annotations

import click

from orchestrator.console.options import format_option, job_option, queue_option, run_argument
from orchestrator.console.printing import tell

__all__ = ["list_letters"]

_EPILOG = """\b
Examples:
  mporch dead list
  mporch dead list 20261123T08 --job parse
  mporch dead list --format json | jq '.[].error'
"""


@click.command("list", short_help="List the dead letters of a run.", epilog=_EPILOG)
@run_argument
@job_option
@queue_option
@format_option
def list_letters(
    run_name: str,
    job: tuple[str, ...],
    queue: tuple[str, ...],
    format: str,  # noqa: A002 -- the option's name
) -> int:
    """List the dead letters of RUN, in the order in which they were given up.

    The exit code is 1 if any of what is kept of them is damaged, which is then told.
    """
    from orchestrator.features.deadletters.choice import choose  # noqa: PLC0415 -- not for --help
    from orchestrator.features.deadletters.telling import (  # noqa: PLC0415
        data_of,
        paper,
        tell_damages,
        view_of,
    )
    from orchestrator.runlog.query import Filter, check_names  # noqa: PLC0415

    choice = choose([run_name])
    if plan := choice.run.read_plan():
        check_names(Filter(jobs=frozenset(job), queues=frozenset(queue)), plan)
    chosen = [
        letter
        for letter in choice.letters
        if (not job or letter.job in job) and (not queue or letter.queue in queue)
    ]
    if format == "json":
        import json  # noqa: PLC0415

        data = [data_of(choice, letter) for letter in chosen]
        print(json.dumps(data, indent=2))
    elif chosen:
        from orchestrator.features.deadletters.letter_views import render_letters  # noqa: PLC0415

        rows = [view_of(letter, choice.replayed[letter.letter]) for letter in chosen]
        print(render_letters(rows, paper()), end="")
        one = f"{choice.run_name} {rows[0].letter}"
        then = f"then mporch dead replay {choice.run_name} --all"
        tell(
            f"more: mporch dead show {one}, or debug; "
            f"{then if choice.unreplayed else 'all of the run were replayed'}"
        )
        if others := choice.elsewhere():
            tell(others)
    elif choice.letters:
        whose = ", ".join([*job, *queue])
        tell(f"run {choice.run.run_id} has no dead letters of {whose}")
    elif not choice.damaged:
        tell(choice.missing())
    return tell_damages(choice, chosen)
