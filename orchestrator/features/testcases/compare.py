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

from orchestrator.engine.node.keeper import END
from orchestrator.errors import TargetError
from orchestrator.features.testcases.asked import Difference, Request

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
        command = [sys.executable, "-P", "-m", "orchestrator.features.testcases.compare_child"]
        code, said = _ended([*command, *map(str, (os.getpid(), asked, answer))], (asked, answer))
        os.lseek(answer, 0, os.SEEK_SET)
        with os.fdopen(os.dup(answer), "rb") as file:
            told = file.read()
    try:
        return msgspec.json.decode(told, type=tuple[Difference, ...])
    except msgspec.DecodeError:
        raise _failed(code, said) from None


def _ended(command: list[str], files: tuple[int, ...]) -> tuple[int, bytes]:
    """Return how the child ended, and what it said on standard error."""
    with subprocess.Popen(
        command,
        pass_fds=files,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            _, said = child.communicate(timeout=_LONGEST_S)
        except subprocess.TimeoutExpired:
            child.send_signal(END)
            raise TargetError(f"to look at the items took longer than {_LONGEST_S:g} s") from None
        except BaseException:
            child.send_signal(END)
            raise
    return child.returncode, said


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


def _failed(code: int, said: bytes) -> TargetError:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}"
    last = f": {lines[-1]}" if lines else ""
    return TargetError(f"the process that looks at the items {how}{last}")
