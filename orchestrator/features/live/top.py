"""`mporch top`: a run that goes on, as its own terminal shows it; the last picture of one over."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from orchestrator.console.options import format_option, live_run_argument
from orchestrator.console.printing import print_json
from orchestrator.errors import RunNotFoundError

if TYPE_CHECKING:
    from orchestrator.control.client import ControlClient
    from orchestrator.control.protocol import Picture
    from orchestrator.core.samples import Header
    from orchestrator.runlog.directory import RunDirectory
    from orchestrator.views.frame import Look

__all__ = ["show_live", "top"]

_EPILOG = """\b
Keys, on a terminal:
  q         end
  s, S      sort jobs by the next, by the last figure
  up, down  choose a job (also k, j)
  enter     show its workers, each with the item it is at

\b
Examples:
  mporch top
  mporch top --once --format json | jq .queues
"""
_WIDE, _HIGH = 120, 1 << 20


@click.command(epilog=_EPILOG)
@live_run_argument
@click.option("--once", is_flag=True, help="Show one picture, and end.")
@format_option
def top(run_name: str | None, once: bool, format: str) -> None:  # noqa: A002 -- the option's name
    """Show how RUN goes: jobs at work, items, queues; on a terminal until the run ends.

    RUN is the one that goes on; with several, an id of `mporch runs`, the beginning of one, or the
    path of a run directory. Of a run that has ended it is the last picture. In a pipe and as JSON
    it is one picture.
    """
    from orchestrator.control.live import run_or_only_one  # noqa: PLC0415

    run = run_or_only_one(run_name, Path.cwd(), os.environ)
    watches = not once and format != "json" and sys.stdout.isatty()
    if not run.is_alive or not show_live(run, watches=watches, as_json=format == "json"):
        show_picture(*last_picture(run), as_json=format == "json", status=_status(run))


def show_live(run: RunDirectory, *, watches: bool, as_json: bool) -> bool:
    """Show a run that goes on; return False if it has ended before there was a picture."""
    from orchestrator.control.client import ControlClient, RunGoneError  # noqa: PLC0415
    from orchestrator.features.live.watching import watch  # noqa: PLC0415

    try:
        with ControlClient(run) as client:
            shown = picture(client)
            if watches:
                if watch(client, shown, _look):
                    client.wait_for_end()
                    return False
            else:
                show_picture(client.header, shown, as_json=as_json, status="running")
    except RunGoneError:
        return False
    return True


def picture(client: ControlClient) -> Picture:
    """Return how the run stands."""
    from orchestrator.control.protocol import AskPicture  # noqa: PLC0415

    return client.picture_in(client.ask(AskPicture()))


def last_picture(run: RunDirectory) -> tuple[Header, Picture]:
    """Return how a run stood at last, from its files.

    Raises RunNotFoundError if none were kept, and RunDirectoryError.
    """
    from orchestrator.control.protocol import Picture  # noqa: PLC0415
    from orchestrator.core.limits import limits_of  # noqa: PLC0415
    from orchestrator.core.samples import Window  # noqa: PLC0415
    from orchestrator.runlog.samples import read_samples  # noqa: PLC0415

    lives = [life for life in read_samples(run.path) if life.samples]
    if not lives:
        raise RunNotFoundError(
            f"run {run.run_id} has ended, and no samples of it were kept",
            hint=f"mporch show {run.run_id}",
        )
    life, window = lives[-1], Window()
    for sample in life.samples:
        window.add(sample)
    assert window.pair is not None
    before, sample = window.pair
    found = limits_of(life.header, life.samples)
    return life.header, Picture(
        before=before, sample=sample, sentence=found[0].text if found else ""
    )


def _status(run: RunDirectory) -> str:
    alive = run.is_alive  # asked first: it has a summary by the time that it is over
    if (summary := run.read_summary()) is not None:
        return summary.status
    return "ends" if alive else "killed"


def show_picture(header: Header, shown: Picture, *, as_json: bool, status: str) -> None:
    """Print a picture, for people or for programs."""
    from orchestrator.views.frame import View, frame  # noqa: PLC0415

    if as_json:
        print_json(data_of(header, shown, status=status))
        return
    view = View(status="" if status == "running" else status)
    lines = frame(header, shown.before, shown.sample, _look(), sentence=shown.sentence, view=view)
    print("\n".join(lines))


def data_of(header: Header, shown: Picture, *, status: str) -> dict[str, Any]:
    """Return a picture for programs."""
    sample, before = shown.sample, shown.before
    about = {"run": header.run, "name": header.name, "status": status, "pid": header.pid}
    return about | {
        "started": header.started,
        "t": sample.t,
        "since": before.t,
        "sentence": shown.sentence,
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


def _look() -> Look:
    """Return what standard output is like; in a pipe nothing is left out."""
    from orchestrator.views.frame import Look  # noqa: PLC0415
    from orchestrator.views.tables import Paper  # noqa: PLC0415

    size = shutil.get_terminal_size((_WIDE, 40))
    is_terminal = sys.stdout.isatty()
    return Look(
        width=size.columns if is_terminal else _WIDE,
        height=size.lines if is_terminal else _HIGH,
        colour=Paper.of(sys.stdout).colour,
        unicode="utf" in (sys.stdout.encoding or "").lower(),
    )
