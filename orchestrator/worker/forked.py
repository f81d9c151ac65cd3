"""A process that the target forks is no worker: what it has inherited of one is taken away.

Called in the child. It must neither speak on the worker's socket nor wait for the worker's lock,
which a thread that does not exist there may hold; it may log and print.
"""

from __future__ import annotations

import _thread
import functools
import operator
import os
import signal
import threading
import types
from typing import Any, NoReturn

from orchestrator.errors import QueueError
from orchestrator.worker.connection import Connection
from orchestrator.worker.link import LinkClosedError
from orchestrator.worker.stopping import StopSignal

__all__ = ["ForkedError", "disown_forks"]


class ForkedError(LinkClosedError, QueueError):
    """A process forked by a target has used a queue, or has come back from the target."""


class _NoLock:
    """Stands in for the connection's lock: whoever wants it is in the wrong process."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def acquire(self) -> NoReturn:
        raise ForkedError(
            f"process {os.getpid()} was forked by the target of {self._worker}:"
            " queues can be used only in the worker's own process",
            hint="hand items to the child and back with a multiprocessing.Queue or Pipe of its own",
        )

    def release(self) -> None: ...

    def __enter__(self) -> NoReturn:
        self.acquire()

    def __exit__(self, *exc: object) -> None: ...


def disown_forks(worker: str, connection: Connection, stopper: StopSignal) -> None:
    """From now on, keep processes that the target forks off the worker's connection.

    The stop signal is held back over a fork: Python forgets what comes to the new process before
    its handlers are in order.
    """
    before = threading.local()
    then = types.SimpleNamespace(run=bool)

    def hold() -> None:
        stopper.mute()  # what is raised in a hook is dropped
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {stopper.signum})

    def restore() -> None:
        if (mask := before.__dict__.pop("mask", None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def let_go() -> None:
        restore()
        if stopper.unmute():
            number: Any = stopper.signum
            then.run = functools.partial(_thread.interrupt_main, number)
        else:
            then.run = bool

    def disown() -> None:
        inherited: Any = connection.lock
        if not isinstance(inherited, _NoLock):  # a fork of a fork has nothing left to lose
            inherited._at_fork_reinit()
            nobodys: Any = _NoLock(worker)
            connection.lock = nobodys
            connection.link.close()
            stopper.disown(nobodys.acquire)
        restore()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=disown)
    # A hook without a frame of Python's: what it calls forth is raised where fork has been called.
    run = functools.partial(operator.methodcaller("run"), then)
    os.register_at_fork(after_in_parent=run)
