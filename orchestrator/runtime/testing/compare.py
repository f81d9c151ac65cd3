"""Has a child hold the items of a case against what is expected of them.

Called in the parent, which never unpickles; `compare_child` is the child.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from orchestrator.errors import TargetError
from orchestrator.runtime.testing.asked import Difference, Request

__all__ = ["compare"]

_LONGEST_S = 60.0
_PIECE_BYTES = 1 << 20


def compare(request: Request) -> tuple[Difference, ...]:
    """Return all that is not as wanted.

    Raises TargetError if the child dies of the items, or takes longer than a minute.
    """
    with _memory("request") as asked, _memory("answer") as answer:
        _write(asked, pickle.dumps(request, 5))
        os.lseek(asked, 0, os.SEEK_SET)
        command = [sys.executable, "-P", "-m", "orchestrator.runtime.testing.compare_child"]
        try:
            done = subprocess.run(
                [*command, str(asked), str(answer)],
                pass_fds=(asked, answer),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TargetError(f"to look at the items took longer than {_LONGEST_S:g} s") from None
        os.lseek(answer, 0, os.SEEK_SET)
        with os.fdopen(os.dup(answer), "rb") as file:
            told = file.read()
    try:
        return msgspec.json.decode(told, type=tuple[Difference, ...])
    except msgspec.DecodeError:
        raise _failed(done) from None


@contextmanager
def _memory(name: str) -> Iterator[int]:
    fd = os.memfd_create(f"mporch-{name}")
    try:
        yield fd
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[:_PIECE_BYTES]) :]


def _failed(done: subprocess.CompletedProcess[bytes]) -> TargetError:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode < 0:
        how = f"was killed by {signal.Signals(-done.returncode).name}"
    else:
        how = f"ended with exit code {done.returncode}"
    last = f": {lines[-1]}" if lines else ""
    return TargetError(f"the process that looks at the items {how}{last}")
