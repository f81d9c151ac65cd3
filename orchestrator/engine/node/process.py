"""Makes workers: multiprocessing processes with sockets, pipes and a progress cell. Linux."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import multiprocessing
import multiprocessing.process
import os
import signal
import socket
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from orchestrator.engine.node.child import Handed, HiddenBytes, Launch, bootstrap
from orchestrator.engine.node.helpers import (
    Creator,
    ForkRequest,
    ForkServer,
    ResourceTracker,
    ask_for,
    disown,
    release,
    use_directory,
)
from orchestrator.engine.node.workerprocess import Ends, WorkerProcess
from orchestrator.ipc.cell import SHARED_BYTES
from orchestrator.kernel.calls import SMALL_PIPE, resize_pipe
from orchestrator.kernel.limits import REFUSALS, ensure, in_words
from orchestrator.plan.model import StartMethod

__all__ = [
    "WORKER_MAIN",
    "ForkserverLostError",
    "ProcessFactory",
    "Starting",
    "WorkerProcess",
    "factory_of_run",
]

WORKER_MAIN = "orchestrator.worker.main:main"
"""What a worker of a run begins with."""

_PRELOAD_FIRST = "orchestrator.engine.node.child"
_PRELOAD_LAST = "orchestrator.engine.node.forkserver_preload"

_KEEP_BYTES = str(256 << 20)
_SURROUNDINGS = {
    # Large pickles must not be mapped and unmapped one by one: that is most of their cost.
    "MALLOC_MMAP_THRESHOLD_": _KEEP_BYTES,
    "MALLOC_TRIM_THRESHOLD_": _KEEP_BYTES,
}

_ANSWER_S = 30.0
"""A forkserver answers in milliseconds, the first time in a second; else it is stopped or hangs.

It is on a busy machine that it takes long: nobody waits for it meanwhile but its workers."""

_MOMENT_S = 0.05

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Who reads a page that has been cut off is killed by SIGBUS: no worker shall do that to us."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What `ProcessFactory.start` was asked for."""

    name: str
    method: StartMethod
    main: str
    payload: bytes
    env: tuple[tuple[str, str | None], ...]
    cwd: str | None
    pythonpath: tuple[str, ...]
    shows_stacks: bool
    channel: socket.socket


class ForkserverLostError(ConnectionError):
    """The forkserver that was to make a worker has died: no fault of the worker's."""


class Starting:
    """A worker whose forkserver has been asked for it, and has not answered yet.

    `go_on` takes it further: when `answer_fd` is readable, or `order_fd`, if not None, writable.
    From `limit_s` seconds on the forkserver is to be killed (`ProcessFactory.give_up`).
    """

    def __init__(
        self,
        *,
        name: str,
        process: multiprocessing.process.BaseProcess,
        request: ForkRequest,
        creator: Creator,
        ends: Ends,
        key: str,
        ours: contextlib.ExitStack,
    ) -> None:
        self.limit_s = _ANSWER_S
        self._name = name
        self._process = process
        self._request = request
        self._creator = creator
        self._ends = ends
        self._key = key
        self._ours = ours

    @property
    def answer_fd(self) -> int:
        """Return what the forkserver answers on."""
        return self._request.sentinel

    @property
    def order_fd(self) -> int | None:
        """Return what the rest of its order is written to; None when that is written."""
        return self._request.order_fd

    def go_on(self) -> WorkerProcess | None:
        """Return the worker if it is there; raises OSError or EOFError if it will never be."""
        if not self._request.go_on():
            return None
        self._ours.pop_all()
        return WorkerProcess(
            name=self._name,
            method=StartMethod.FORKSERVER,
            process=self._process,
            creator=self._creator,
            ends=self._ends,
            key=self._key,
        )

    def close(self) -> None:
        """Close all that the worker would have used: it will never be there."""
        release(self._process)
        self._ours.close()


class ProcessFactory:
    """Makes workers by each start method.

    Called in the node's host, in its main thread only: a worker dies with the thread that made it.

    `preload` names modules that the forkserver imports once for all its workers. `directory` is
    where multiprocessing puts its sockets, here and in the workers; it should be short (a socket's
    path has at most 107 bytes). `environment` is set while an interpreter starts, for what is read
    only then (PYTHONHASHSEED, MALLOC_MMAP_THRESHOLD_), and undone in the worker. `descriptors` is
    the soft limit to give back to the workers; None leaves it.
    """

    def __init__(
        self,
        *,
        preload: Sequence[str] = (),
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        descriptors: int | None = None,
    ) -> None:
        # A fresh interpreter must not take the current directory's modules for the library's.
        self._environment = {"PYTHONSAFEPATH": "1", **(environment or {})}
        self._descriptors = descriptors
        self._directory_before = use_directory(directory)
        self._forkserver = ForkServer([_PRELOAD_FIRST, *preload, _PRELOAD_LAST])
        self._tracker = ResourceTracker()

    def start_forkserver(self) -> None:
        """Start the forkserver ahead of its first worker: its imports take a while.

        If the system refuses, or it has died by then, the first worker's start does so anew.
        """
        with _fresh_interpreter(self._environment), contextlib.suppress(OSError):
            self._forkserver.ensure()

    def helper_pids(self) -> frozenset[int]:
        """Return the forkserver's and the resource tracker's pids: not to be reaped by others."""
        return frozenset(p for p in (self._forkserver.pid, self._tracker.pid) if p is not None)

    def refusal(self, error: OSError) -> str:
        """Name the limit behind an error of `begin`; empty if it was none of processes."""
        number = error.errno
        if isinstance(error, ConnectionError):
            number = self._forkserver.refused(wait_s=_MOMENT_S)
        return in_words(number) if number in REFUSALS else ""

    def begin(
        self,
        *,
        name: str,
        method: StartMethod,
        main: str,
        payload: bytes,
        channel: socket.socket,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        pythonpath: Sequence[str] = (),
        shows_stacks: bool = False,
    ) -> WorkerProcess | Starting:
        """Start a worker called `name` that runs `main`, a `module:function`.

        The function gets (payload, channel socket, log socket, progress cell). `channel` is closed
        here in any case. `env` is applied
        over the inherited environment, None unsets; `pythonpath` goes before all of `sys.path`.
        `shows_stacks`: it can be asked for its stack (`stacks.py`).
        A forkserver is asked only: see `go_on`. Raises OSError if the system refuses (descriptors,
        processes, memory), and ConnectionError if the process has died before it had read its
        order, or its forkserver has. The next start makes another one, so all of that may be tried
        again.
        """
        order = _Order(
            name=name,
            method=method,
            main=main,
            payload=payload,
            env=tuple((env or {}).items()),
            cwd=cwd,
            pythonpath=tuple(pythonpath),
            shows_stacks=shows_stacks,
            channel=channel,
        )
        try:
            return self._begin(order)
        except TimeoutError as error:
            raise self._killed(_ANSWER_S) from error
        except (ConnectionError, EOFError) as error:
            raise self._died(served=method is StartMethod.FORKSERVER) from error

    def go_on(self, starting: Starting) -> WorkerProcess | None:
        """Return the worker if it is there by now; raises as `begin`, and closes it then."""
        try:
            return starting.go_on()
        except (ConnectionError, EOFError) as error:
            starting.close()
            raise self._died(served=True) from error

    def give_up(self, starting: Starting) -> ConnectionError:
        """Kill a forkserver that does not answer in time; returns what is to be told."""
        starting.close()
        return self._killed(starting.limit_s)

    def _killed(self, limit_s: float) -> ConnectionError:
        self._forkserver.kill()
        self._forkserver.has_ended(wait_s=1.0)
        message = f"its forkserver did not answer within {limit_s:g} s and was killed"
        return ConnectionError(message)

    def _died(self, *, served: bool) -> ConnectionError:
        """Say whose death it was, which shows in a moment: a dead forkserver is replaced."""
        died = served and self._forkserver.has_ended(wait_s=_MOMENT_S)
        if died:
            return ForkserverLostError("its forkserver died while it was being started")
        return ConnectionError("it died while it was being started")

    def _begin(self, order: _Order) -> WorkerProcess | Starting:
        forked = order.method is StartMethod.FORK
        key = os.urandom(4).hex()
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            ends, handed, stacks = _wire(
                order.channel, ours, theirs, shows_stacks=order.shows_stacks
            )
            with _signals_held() if forked else _fresh_interpreter(self._environment) as restored:
                served = order.method is StartMethod.FORKSERVER
                creator = self._forkserver.ensure() if served else None
                launch = Launch(
                    worker=order.name,
                    main=order.main,
                    key=key,
                    payload=HiddenBytes(order.payload),
                    env=(*restored, *order.env),
                    cwd=order.cwd,
                    pythonpath=order.pythonpath,
                    creator_pid=creator.pid if creator else os.getpid(),
                    descriptors=self._descriptors,
                    forked=forked,
                    stacks=stacks,
                    **handed,
                )
                context: Any = multiprocessing.get_context(order.method.value)
                process = context.Process(target=bootstrap, name=order.name, args=(launch,))
                process.daemon = False  # a target may have children of its own
                if creator is not None:
                    with _answer_within(_ANSWER_S):
                        request = ask_for(process)
                else:
                    process.start()
            disown(process)
            if creator is not None:
                return Starting(
                    name=order.name,
                    process=process,
                    request=request,
                    creator=creator,
                    ends=ends,
                    key=key,
                    ours=ours.pop_all(),
                )
            worker = WorkerProcess(
                name=order.name,
                method=order.method,
                process=process,
                creator=None,
                ends=ends,
                key=key,
            )
            ours.pop_all()
        return worker

    def close(self, *, within_s: float = 1.0) -> None:
        """End the forkserver and the resource tracker.

        Call it when the workers have ended and strangers are swept (`sweep`, sparing
        `helper_pids`): the tracker cleans up once nobody else holds its pipe. It has `within_s`
        seconds to do so. Closing twice does nothing.
        """
        self._forkserver.close()
        self._tracker.close(within_s=within_s)
        use_directory(self._directory_before)


def factory_of_run(*, directory: str, hash_seed: str, workers: int) -> ProcessFactory:
    """Return what makes the workers of a run on this machine.

    `directory` is for the sockets of multiprocessing, its path short. `hash_seed` is the
    PYTHONHASHSEED of all workers, so that sets come in the same order again. `workers` is how many
    there may be at a time: raises UsageError if they need more descriptors than the system allows.
    """
    return ProcessFactory(
        preload=(WORKER_MAIN.partition(":")[0],),
        directory=directory,
        environment={**_SURROUNDINGS, "PYTHONHASHSEED": hash_seed},
        descriptors=ensure(workers),
    )


def _wire(
    channel: socket.socket,
    ours: contextlib.ExitStack,
    theirs: contextlib.ExitStack,
    *,
    shows_stacks: bool,
) -> tuple[Ends, dict[str, Handed], Handed | None]:
    """Make every other connection; each stack closes its side."""
    theirs.enter_context(channel)
    log_sock, log = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.enter_context(log_sock)
    theirs.enter_context(log)
    stdout_fd, stdout = _pipe(ours, theirs)
    stderr_fd, stderr = _pipe(ours, theirs)
    page = os.memfd_create("mporch-cell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    theirs.callback(os.close, page)
    os.truncate(page, SHARED_BYTES)
    fcntl.fcntl(page, fcntl.F_ADD_SEALS, _SEALS)
    cell = ours.enter_context(_map_shared(page))
    log_sock.setblocking(False)
    stacks_fd = stacks = None
    if shows_stacks:
        stacks_fd, stacks = _pipe(ours, theirs)
        resize_pipe(stacks_fd, SMALL_PIPE)
    ends = Ends(
        log_sock=log_sock, stdout_fd=stdout_fd, stderr_fd=stderr_fd, stacks_fd=stacks_fd, cell=cell
    )
    handed = {
        "channel": Handed(channel.fileno()),
        "log": Handed(log.fileno()),
        "stdout": Handed(stdout),
        "stderr": Handed(stderr),
        "cell": Handed(page),
    }
    return ends, handed, None if stacks is None else Handed(stacks)


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read_fd, write_fd = os.pipe()
    ours.callback(os.close, read_fd)
    theirs.callback(os.close, write_fd)
    os.set_blocking(read_fd, False)
    return read_fd, write_fd


def _map_shared(fd: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, SHARED_BYTES, trackfd=False)  # one descriptor a worker less
    return mmap.mmap(fd, SHARED_BYTES)


@contextlib.contextmanager
def _answer_within(limit_s: float) -> Iterator[None]:
    """Raise TimeoutError if the body takes longer than that: Python 3.14 and newer do wait in it.

    They exchange keys with the forkserver before they ask it for anything.
    """

    def late(_signum: int, _frame: types.FrameType | None) -> NoReturn:
        raise TimeoutError(f"the forkserver does not answer within {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _signals_held() -> Iterator[tuple[tuple[str, str | None], ...]]:
    """Hold back all signals while a child is forked, until it has put off our handlers.

    Else a signal to the child would run the parent's handler, and write to the parent's wakeup fd.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield ()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _fresh_interpreter(
    environment: Mapping[str, str],
) -> Iterator[tuple[tuple[str, str | None], ...]]:
    """Make this process one that multiprocessing can start an interpreter from, without our main.

    Multiprocessing runs the parent's main module again in each child: ours is a command line, which
    no worker needs. Yields what undoes `environment` in the child.
    """
    main = sys.modules["__main__"]
    before = tuple((name, os.environ.get(name)) for name in environment)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(environment)
    try:
        yield before
    finally:
        sys.modules["__main__"] = main
        for name, value in before:
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
