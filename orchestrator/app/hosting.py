"""Runs a pipeline in a child of its own, apart from the caller; `hosted` is the child."""

from __future__ import annotations

import pickle
import subprocess
import sys

import msgspec

from orchestrator.app.hosted import Refusal, Request
from orchestrator.core.summary import Summary
from orchestrator.errors import (
    DiskFullError,
    InternalError,
    MporchError,
    RunDirectoryError,
    UsageError,
)

__all__ = ["COMMAND", "host", "result_of"]

COMMAND = (sys.executable, "-P", "-m", "orchestrator.app.hosted")
"""The child: it reads a pickled request on standard input, and writes how the run went."""


def host(request: Request) -> Summary:
    """Called in the parent. Run the request in a child, to its end, and return how it went.

    Raises UsageError if the machine's limits do not allow so many workers, RunDirectoryError if the
    run directory cannot be made or written, and KeyboardInterrupt after the end of the run.
    """
    return result_of(_output_of(request))


def _output_of(request: Request) -> bytes:
    """Run the request in a child; returns what it wrote on standard output."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        interrupted = False
        data: bytes | None = pickle.dumps(request)
        while True:
            try:
                written, _ = child.communicate(data)
            except KeyboardInterrupt:
                # The terminal has told the child, too: it drains, and ends.
                interrupted, data = True, None
            else:
                break
    if interrupted:
        raise KeyboardInterrupt
    return written


def result_of(written: bytes) -> Summary:
    """Return the summary, or raise, as `host` does, the error the child could not go on after."""
    try:
        return msgspec.json.decode(written, type=Summary)
    except msgspec.DecodeError:
        try:
            found = msgspec.json.decode(written, type=Refusal)
        except msgspec.DecodeError:
            raise InternalError("the run ended without a result; see standard error") from None
    kinds: dict[str, type[MporchError]] = {
        kind.__name__: kind for kind in (DiskFullError, RunDirectoryError, UsageError)
    }
    raise kinds.get(found.kind, InternalError)(found.message, hint=found.hint)
