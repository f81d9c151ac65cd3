"""Targets imported in a child process, for a limited time: the parent's side.

Called in the parent, which never imports nor unpickles; `probe_child` is the child.
"""

from __future__ import annotations

import importlib
import signal

import msgspec

from orchestrator.app.import_check.imported import Probe, ProbeReport
from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.child_program import ask_once
from orchestrator.files import PACKAGE

__all__ = ["Probed", "probe"]

_GRACE_S = 2.0
"""So long after its time is up a child may take to say where it was; and to start."""
_CHILD = "orchestrator.app.import_check.probe_child"


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a probe: the report or, if there is none, how the import ended the process.

    `output` is what was printed meanwhile, its first 64 KiB.
    """

    report: ProbeReport
    output: str = ""


def probe(order: Probe) -> Probed:
    """Import the targets of `order` in a child; all that it has started is gone afterwards."""
    came = ask_once(
        _CHILD,
        msgspec.msgpack.encode(order),
        timeout_s=order.timeout_s + _GRACE_S,
        answers=2,
        session=True,
    )
    told, crash = came.files
    try:
        report = msgspec.json.decode(told, type=ProbeReport)
    except msgspec.DecodeError:
        failure = _death(order, came.exit_code, crash, in_time=came.in_time)
        report = ProbeReport(failure=failure)
    return Probed(report=report, output=came.output.decode("utf-8", "replace"))


def _death(order: Probe, code: int, crash: bytes, *, in_time: bool) -> Failure:
    """Return what the end of a process says that has not reported."""
    lines = crash.decode("utf-8", "replace").splitlines(keepends=True)
    hung = not in_time or (lines and lines[0].startswith("Timeout"))
    if hung:
        kind, message = "timeout", f"takes longer than {order.timeout_s:g} s"
    elif code < 0:
        kind, message = "death", f"kills its process: {signal.Signals(-code).name}"
    else:
        kind, message = "exit", f"ends its process with exit code {code}"
    return Failure(kind=kind, message=message, traceback=_users(lines))


def _users(lines: list[str]) -> str:
    """The user's part of what faulthandler writes: its frames, innermost first."""
    ours = (f'"{PACKAGE}', '"<frozen ', f'"{importlib.__file__}"')
    kept = [
        line
        for line in lines
        if line.startswith("  File ") and not any(each in line for each in ours)
    ]
    return "".join(["Stack, innermost call first:\n", *kept]) if kept else ""
