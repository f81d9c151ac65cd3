"""Looks at what runs are protected by: nothing shall be left behind, and no death go unnoticed.

Trials with real processes show whether the kernel does what it is asked. Each forks a child of its
own and waits for it, a few seconds at most; none leaves one behind. Linux.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from orchestrator.features.doctor.finding import Finding, Verdict
from orchestrator.kernel.calls import (
    become_subreaper,
    enter_new_pid_namespace,
    set_parent_death_signal,
)

__all__ = [
    "PARENT_DEATH",
    "SUBREAPER",
    "look_at_protection",
    "orphan_trial",
    "pid_namespace_works",
    "pidfds_work",
]


_LIMITED = Verdict.LIMITED


def look_at_protection() -> Iterator[Finding]:
    """Called in the parent: try out pidfds, subreapers, parent death signals, pid namespaces."""
    if sys.platform != "linux":
        means = "when mporch is killed, processes of a run may be left"
        yield Finding(name="protection", verdict=_LIMITED, found="Linux only", means=means)
        return
    seen = orphan_trial()
    yield _judged(
        "pidfd",
        pidfds_work(),
        Verdict.BROKEN,
        "the death of a worker cannot be told for certain",
    )
    yield _judged(
        "subreaper",
        bool(seen & SUBREAPER),
        _LIMITED,
        "what workers leave behind, daemons for one, outlives a run",
    )
    yield _judged(
        "parent death",
        bool(seen & PARENT_DEATH),
        _LIMITED,
        "when mporch is killed by SIGKILL, workers may outlive it",
    )
    yield pid_namespace(works=pid_namespace_works())


def pid_namespace(*, works: bool) -> Finding:
    """Return whether a run could have pids of its own; this version does not use that."""
    means = (
        "not used: should both processes of mporch be killed in the same moment, workers end, "
        "what they had started themselves does not"
    )
    found = "can be had" if works else "cannot be had"
    return Finding(name="pid namespace", verdict=Verdict.OK, found=found, means=means)


def _judged(name: str, works: bool, otherwise: Verdict, means: str) -> Finding:
    if works:
        return Finding(name=name, verdict=Verdict.OK, found="works")
    return Finding(name=name, verdict=otherwise, found="does not work", means=means)


SUBREAPER, PARENT_DEATH = 1, 2
_PATIENCE_S = 3
_FAILED = 127


def pidfds_work() -> bool:
    """Return whether a process can be watched, signalled and reaped by a descriptor."""
    if not hasattr(os, "pidfd_open"):
        return False
    child = _fork(signal.pause)
    try:
        return _ends_by_pidfd(child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def _ends_by_pidfd(child: int) -> bool:
    pidfd = os.pidfd_open(child)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        readable, _, _ = select.select([pidfd], [], [], _PATIENCE_S)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        return bool(readable) and ended is not None and ended.si_status == signal.SIGKILL
    finally:
        os.close(pidfd)


def orphan_trial() -> int:
    """Return which of SUBREAPER and PARENT_DEATH were seen to work.

    A grandchild asks for a signal when its parent ends, and its parent does end: the grandchild
    must die of that signal, and be this trial's to reap.
    """
    code = _code_of(_fork(_adopt))
    return 0 if code == _FAILED else code


def pid_namespace_works() -> bool:
    """Return whether a process may have a namespace of pids of its own, in which it is the first.

    With the first process of a namespace the kernel kills all the others.
    """
    return _code_of(_fork(_be_first)) == 0


def _adopt() -> int:
    """Called in the child."""
    works = SUBREAPER if become_subreaper() else 0
    parent = _fork(_leave_an_orphan)
    os.waitpid(parent, 0)
    try:
        _, status = os.waitpid(-1, 0)
    except ChildProcessError:
        return 0  # it went to somebody else, so there is no telling how it ended
    died_of_it = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
    return works | (PARENT_DEATH if died_of_it else 0)


def _leave_an_orphan() -> int:
    """Called in the grandchild's parent, which returns as soon as the grandchild is prepared."""
    prepared, tell = os.pipe()

    def wait_for_it() -> None:
        signal.alarm(_PATIENCE_S)  # ends it where no other signal comes
        set_parent_death_signal(signal.SIGTERM)
        os.write(tell, b".")
        signal.pause()

    _fork(wait_for_it)
    os.read(prepared, 1)
    return 0


def _be_first() -> int:
    """Called in the child."""
    if not enter_new_pid_namespace():
        return _FAILED
    return _code_of(_fork(lambda: 0 if os.getpid() == 1 else _FAILED))


def _fork(inner: Callable[[], int | None]) -> int:
    """Run `inner` in a child, which ends with what it returns; return the child's pid."""
    child = os.fork()
    if not child:
        _end_with(inner)
    return child


def _end_with(inner: Callable[[], int | None]) -> NoReturn:
    """Called in the child. Signals act as they do by default, and nothing is printed."""
    code: int | None = _FAILED
    try:
        for signum in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        code = inner()
    finally:
        os._exit(code or 0)


def _code_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
