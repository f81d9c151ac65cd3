"""`mporch top`: a run that goes on, as its own terminal shows it."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

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
        elapsed_s=shown.sample.t,
        rates=_rates(client, shown),
    )


def _rates(client: ControlClient, shown: Picture) -> dict[str, float]:
    """Return the items a second of each job, over the last seconds."""
    before, sample = shown.before, shown.sample
    if (took_s := sample.t - before.t) <= 0:
        return {}
    pairs = zip(client.header.jobs, sample.jobs, before.jobs, strict=True)
    return {
        job.name: ((new.items_in or new.items_out) - (old.items_in or old.items_out)) / took_s
        for job, new, old in pairs
        if new.items_in or new.items_out
    }


def data_of(client: ControlClient, shown: Picture) -> dict[str, Any]:
    """Return a picture for programs."""
    header, sample, before = client.header, shown.sample, shown.before
    about = {"run": header.run, "name": header.name, "status": "running", "pid": header.pid}
    return about | {
        "started": header.started,
        "t": sample.t,
        "since": before.t,
        "jobs": [
            {"name": job.name} | asdict(new) | {"since": asdict(old)}
            for job, new, old in zip(header.jobs, sample.jobs, before.jobs, strict=True)
        ],
        "queues": [
            {"name": queue.name, "maxsize": queue.maxsize} | asdict(new) | {"since": asdict(old)}
            for queue, new, old in zip(header.queues, sample.queues, before.queues, strict=True)
        ],
        "workers": [
            asdict(worker) | {"job": header.jobs[worker.job].name} for worker in sample.workers
        ],
        "system": asdict(sample.system),
    }


def asdict(row: msgspec.Struct) -> dict[str, Any]:
    """Return a row of a sample with the names of its columns, those of its parts, too."""
    return {
        name: asdict(value) if isinstance(value, msgspec.Struct) else msgspec.to_builtins(value)
        for name, value in msgspec.structs.asdict(row).items()
    }


def _title(client: ControlClient) -> str:
    return f"{client.header.name} {client.header.run}"


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
            live.take(shown.snapshot, look, shown.sample.t)
            sys.stdout.write(live.erase(look.width) + live.draw())
            sys.stdout.flush()
            client.receive(_EVERY_S)
    except RunGoneError:
        print()
