"""`mporch top`: a run that goes on, as its own terminal shows it."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.console.options import format_option, live_run_argument
from orchestrator.console.printing import print_json

if TYPE_CHECKING:
    from orchestrator.control.client import ControlClient
    from orchestrator.control.protocol import Picture
    from orchestrator.views.frame import Look

__all__ = ["top"]

_EPILOG = """\b
Examples:
  mporch top
  mporch top --once --format json | jq .queues
"""
_EVERY_S = 0.5
_WIDE, _HIGH = 120, 1 << 20


@click.command(epilog=_EPILOG)
@live_run_argument
@click.option("--once", is_flag=True, help="Show one picture, and end.")
@format_option
def top(run_name: str | None, once: bool, format: str) -> None:  # noqa: A002 -- the option's name
    """Show how RUN goes: jobs at work, items, queues; on a terminal until the run ends.

    RUN is the one that goes on; with several, an id of `mporch runs`, the beginning of one, or the
    path of a run directory. In a pipe and as JSON it is one picture.
    """
    from orchestrator.control.client import ControlClient  # noqa: PLC0415
    from orchestrator.control.live import live_run  # noqa: PLC0415

    with ControlClient(live_run(run_name)) as client:
        if format == "json":
            print_json(data_of(client, picture(client)))
        elif once or not sys.stdout.isatty():
            print("\n".join(lines_of(client, picture(client))))
        else:
            _watch(client)


def picture(client: ControlClient) -> Picture:
    """Return how the run stands."""
    from orchestrator.control.protocol import AskPicture, Picture  # noqa: PLC0415

    found = client.ask(AskPicture())
    assert isinstance(found, Picture)
    return found


def lines_of(client: ControlClient, shown: Picture) -> list[str]:
    """Return a picture as lines that fit the terminal; in a pipe nothing is left out."""
    from orchestrator.views.frame import frame  # noqa: PLC0415

    return frame(
        shown.snapshot,
        _look(),
        title=_title(client),
        elapsed_s=shown.elapsed_s,
        rates={},
    )


def data_of(client: ControlClient, shown: Picture) -> dict[str, Any]:
    """Return a picture for programs."""
    import msgspec  # noqa: PLC0415

    welcome = client.welcome
    about = {"run": welcome.run, "name": welcome.name, "status": "running", "pid": client.pid}
    return about | {
        "elapsed_s": round(shown.elapsed_s, 6),
        "jobs": [msgspec.to_builtins(job) for job in shown.snapshot.jobs],
        "queues": [msgspec.to_builtins(queue) for queue in shown.snapshot.queues],
    }


def _title(client: ControlClient) -> str:
    return f"{client.welcome.name} {client.welcome.run}"


def _look() -> Look:
    from orchestrator.views.frame import Look  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    paper = Paper.of(sys.stdout)
    size = shutil.get_terminal_size((120, 40))
    is_terminal = sys.stdout.isatty()
    return Look(
        width=size.columns if is_terminal else _WIDE,
        height=size.lines if is_terminal else _HIGH,
        colour=paper.colour,
        unicode="utf" in (sys.stdout.encoding or "").lower(),
    )


def _watch(client: ControlClient) -> None:
    """Draw pictures over and over until the run ends."""
    from orchestrator.control.client import RunGoneError  # noqa: PLC0415
    from orchestrator.views.frame import Live  # noqa: PLC0415

    live = Live(_title(client))
    try:
        while True:
            shown = picture(client)
            look = _look()
            live.take(shown.snapshot, look, shown.elapsed_s)
            sys.stdout.write(live.erase(look.width) + live.draw())
            sys.stdout.flush()
            client.receive(_EVERY_S)
    except RunGoneError:
        print()
