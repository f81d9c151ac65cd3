"""A process that makes a call in a child of its own, and ends what that has left behind.

For code of the user's that runs outside of a run: an import that is tried, a target called by hand.
A run has its guard for that (`guard`).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from orchestrator.core.reasons import names_of
from orchestrator.engine.node.child_program import END
from orchestrator.escaping import escaped
from orchestrator.kernel.calls import set_parent_death_signal
from orchestrator.kernel.descendants import become_subreaper, survivors, sweep

__all__ = ["answer_once", "keep"]

_ENDING = (END, signal.SIGHUP, signal.SIGQUIT)
_SWEEP_S = 5.0


def answer_once(answer: Callable[..., int]) -> NoReturn:
    """Called in a program that `child_program` has started, before anything else.

    `answer` is called in a child of a keeper's with the request and the descriptors of the files
    for its answers, which nothing that it starts inherits; it returns the exit code.
    """
    parent_pid, request_fd, *files = map(int, sys.argv[1:])
    for fd in files:
        os.set_inheritable(fd, False)
    with os.fdopen(request_fd, "rb") as file:
        request = file.read()
    keep(parent_pid, lambda: answer(request, *files))


def keep(parent_pid: int, call: Callable[[], int]) -> NoReturn:
    """Called in a child of `parent_pid`, before anything else. Make the call in a child of its own.

    When that ends, all that descends from it is killed, daemons included, and this process ends as
    it did, by its exit code or its signal. A terminal's Ctrl-C is left to the call.
    """
    become_subreaper()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_ENDING, signal.SIGINT})
    # What is ignored, by nohup for one, stays so.
    ours = [each for each in _ENDING if signal.getsignal(each) == signal.SIG_DFL]
    for signum in ours:
        signal.signal(signum, _end)
    set_parent_death_signal(END)
    if os.getppid() != parent_pid:
        os._exit(128 + END)
    me, child = os.getpid(), os.fork()
    if child == 0:
        set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != me:
            os._exit(128 + END)
        for signum in ours:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sys.exit(call())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _, status = os.waitpid(child, 0)
    _sweep()
    _end_as(status)


def _end(signum: int, _frame: FrameType | None) -> NoReturn:
    try:
        _sweep()
    finally:
        os._exit(128 + signum)


def _sweep() -> None:
    """Kill what is left, and tell of what could not be killed."""
    swept = sweep(within_s=_SWEEP_S)
    if swept.survived:
        who = escaped(names_of(survivors(swept.survived)))
        os.write(2, f"mporch: left behind, and could not be killed: {who}\n".encode())


def _end_as(status: int) -> NoReturn:
    """End as the child did."""
    if os.WIFSIGNALED(status):
        signum = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left the one that tells
        if signum != signal.SIGKILL:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
        os.kill(os.getpid(), signum)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
