"""`mporch stop`: end a run that goes on, and wait for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from orchestrator.console.options import live_run_argument
from orchestrator.console.printing import say, tell
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.control.client import ControlClient
    from orchestrator.core.protocol.events import StopHow
    from orchestrator.core.reporting import Summary

__all__ = ["stop"]

_EPILOG = """\b
Examples:
  mporch stop
  mporch stop 20261123T08 --terminate
"""


@click.command(epilog=_EPILOG)
@live_run_argument
@click.option("--terminate", is_flag=True, help="Stop all workers at once, as SIGTERM does.")
@click.option("--kill", is_flag=True, help="Kill all workers.")
def stop(run_name: str | None, terminate: bool, kill: bool) -> None:
    """End RUN, wait for its end, and tell how it ended.

    It drains, as by Ctrl-C, unless said otherwise: sources end, and what is queued is finished. A
    second `stop` may go further, none goes back. RUN is the one that goes on; with several, an id
    of `mporch runs`, the beginning of one, or the path of a run directory.

    The exit code is 0 once the run has ended, however that was.
    """
    from orchestrator.control.client import ControlClient  # noqa: PLC0415
    from orchestrator.control.live import live_run  # noqa: PLC0415
    from orchestrator.core.protocol.events import StopHow  # noqa: PLC0415

    if terminate and kill:
        raise UsageError("--terminate and --kill are two ways to stop a run", hint="choose one")
    how = StopHow.KILL if kill else StopHow.TERMINATE if terminate else StopHow.DRAIN
    run = live_run(run_name)
    with ControlClient(run) as client:
        _ask(client, how)
        name = client.header.name
        tell(f"mporch: {name} {_DOES[how.value]} ({run.run_id}); waiting for its end")
        client.wait_for_end()
    _tell_end(run.read_summary(), name)


_DOES = {"drain": "drains", "terminate": "is being terminated", "kill": "is being killed"}


def _ask(client: ControlClient, how: StopHow) -> None:
    """Have the run stop; one that ends just now is waited for all the same."""
    from orchestrator.control.client import RunGoneError  # noqa: PLC0415
    from orchestrator.control.protocol import AskStop  # noqa: PLC0415

    with contextlib.suppress(RunGoneError):
        client.ask(AskStop(how=how))


def _tell_end(summary: Summary | None, name: str) -> None:
    from orchestrator.views.text import duration  # noqa: PLC0415

    if summary is None:
        say(f"{name} has ended without a summary: it was killed, or its disk was full")
        return
    left = sum(ledger.left for ledger in summary.queues.values())
    items = f", {left:,} item{'' if left == 1 else 's'} left" if left else ""
    took = duration(summary.duration_s)
    say(f"{name} {summary.status} after {took}, exit code {summary.exit_code}{items}")
