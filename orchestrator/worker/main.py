"""A worker's life, from its first message to its last.

Called in the child.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from orchestrator.core.protocol.messages import GAVE_UP, Failure, Hello, Ready, Worn
from orchestrator.encoding import HINT, unfit
from orchestrator.errors import QueueFullError, ReplayError, ShutDown
from orchestrator.ipc.cell import Cell
from orchestrator.ipc.marks import console_of
from orchestrator.ipc.order import Order
from orchestrator.ipc.stacks import keep_answering
from orchestrator.plan.model import Command, Shape
from orchestrator.worker import current, logs, target
from orchestrator.worker.arenas import WorkerArenas
from orchestrator.worker.call_context import BeginMarks, CallContext, ItemFailedError, TellItem
from orchestrator.worker.client import Client
from orchestrator.worker.errors import FencedError, LinkClosedError, NoRoomError
from orchestrator.worker.failure import describe, stack_of
from orchestrator.worker.fault_injection import (
    FaultError,
    FaultyArenas,
    InjectedFault,
    ordered,
)
from orchestrator.worker.faulty_link import FaultyLink
from orchestrator.worker.flusher import Flusher
from orchestrator.worker.handle import QueueHandle
from orchestrator.worker.item_calls import run_batches, run_items
from orchestrator.worker.link import Link
from orchestrator.worker.process import Exit, ExitWatch, apply_limits, disown_forks
from orchestrator.worker.replay import Gets, ReplayChecks
from orchestrator.worker.single_call import conclude, run_once
from orchestrator.worker.stopping import StopRequested, StopSignal
from orchestrator.worker.transaction import Transaction

__all__ = ["main"]

_LOG = logging.getLogger("mporch")
_RUNNERS = {Shape.ITEM: run_items, Shape.BATCH: run_batches}


def main(payload: bytes, channel: socket.socket, log: socket.socket, cell: mmap.mmap) -> None:
    """Be the worker that `payload` describes.

    Ends the process by SystemExit or the stop signal.
    """
    end = Exit()
    order = Order.decode(payload)
    try:
        fault = ordered(order.worker, os.environ)
    except (FaultError, OSError) as error:
        raise SystemExit(f"mporch: MPORCH_FAULT: {error}") from error
    name = order.worker
    link = Link(channel) if fault is None else FaultyLink(channel, fault)
    try:
        link.queue(Hello(pid=os.getpid()))
        link.flush()
        progress = Cell(cell)
        current.enter(order, progress.words)
        console = console_of(sys.__stdout__)
        marks = BeginMarks(
            console, progress.words, current.at_hand, always=isinstance(order.job.target, Command)
        )
        tell = logs.install(log, console, draws=order.draws).tell_item
        arenas = (
            WorkerArenas(log, limited=order.limited)
            if fault is None
            else FaultyArenas(log, fault, limited=order.limited)
        )
        worker = WorkerMain(
            order, link, progress, end, marks=marks, tell=tell, arenas=arenas, fault=fault
        )
        del payload, order  # a traceback with the values of variables has no use for them
        code = worker.live()
    except (LinkClosedError, FencedError) as error:
        _give_up(name, error)
    end.drop_modules()
    _leave(code)


class WorkerMain:
    """One worker; `live` returns the exit code, negative for the signal it was stopped by."""

    def __init__(
        self,
        order: Order,
        link: Link,
        cell: Cell,
        end: Exit,
        *,
        marks: BeginMarks,
        tell: TellItem,
        arenas: WorkerArenas,
        fault: InjectedFault | None = None,
    ) -> None:
        self._order = order
        self._end = end
        self._job = order.job
        self._cell = cell
        self._fault = fault
        self._marks = marks
        self._tell = tell
        self._place = ""
        self._recycled: Worn | None = None
        self._readers_failed = False
        self._stack = ""
        self._pacer = Flusher()
        by_item = not self._job.shape.called_once
        holder = f"job {self._job.name!r}"
        self._client = Client(
            link,
            order.queues,
            by_item=by_item,
            arm=self._pacer.arm,
            hurry=self._pacer.hurry,
            replays=ReplayChecks(holder, order.emitted, counted=order.counted),
            ordered=self._job.ordered is not None,
            gets=Gets() if order.repeats_gets else None,
            arenas=arenas,
        )
        self._client.commits.waiting = cell.waiting
        self._stopper = StopSignal(self._job.terminate.signal, self._client.connection)

    def live(self) -> int:
        """Load the target, run it in its shape, say goodbye."""
        failure: Failure | None = None
        code, stopped, hang = 0, False, False
        roots = (*self._order.pythonpath, self._order.project_dir)
        apply_limits(self._job.limits)
        try:
            _check_environment(self._job.env)
            _enter(self._job.cwd or self._order.project_dir)
            self._pacer.start(self._client)
            self._stopper.install()
            disown_forks(self._order.worker, self._client.connection, self._stopper)
            with target.Entered() as entered:
                self._run(entered, roots)
            hang = not self._wait_for_threads()
            self._stopper.retire()
        except ItemFailedError:
            code = 1
        except target.TargetFailedError as error:
            failure, code = error.failure, 1
        except NoRoomError as error:
            failure, code = self._no_room(error, roots), 1
        except StopRequested as stop:
            stopped, code = True, -self._job.terminate.signal
            self._stack = stack_of(stop)
        except (LinkClosedError, FencedError):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the target raised is its end
            failure, code = self._ended_by(error, roots)
        self._stopper.retire()
        stopped = stopped or (self._stopper.requested and failure is not None)
        return self._finish(failure, code, stopped=stopped, hang=hang)

    def _finish(self, failure: Failure | None, code: int, *, stopped: bool, hang: bool) -> int:
        """Do what is done at the end and say the last message; returns the exit code."""
        if not (code or stopped):
            try:
                self._wind_up(with_threads=not hang)
            except NoRoomError as error:
                failure, code = self._no_room(error), 1
        told = self._close(failure, stopped=stopped)
        if code or stopped:  # said first; that the process may take no longer is seen to outside
            self._end.run_functions()
        return code if told is failure else 1

    def _no_room(self, error: NoRoomError, roots: Sequence[str] = ()) -> Failure:
        """Return the job's failure, told as if the worker had waited for room itself."""
        found = QueueFullError.found_by(self._job.name, error.queue)
        return describe(found, roots, self._place)

    def _wind_up(self, *, with_threads: bool) -> None:
        """Do what Python does at its end, as long as the grace lasts; what is put is refused."""
        with self._client.connection.lock:
            self._client.retire()
        with ExitWatch(self._job.terminate.grace_s, self._cut_off):
            self._end.run_functions(with_threads=with_threads)

    def _cut_off(self, place: str) -> None:
        """Called in another thread: end without what has not come to its end."""
        _LOG.warning(
            "%s: what Python does at its end (exit functions, threads, child processes) was cut off"
            " after the grace of %g s%s",
            self._order.worker,
            self._job.terminate.grace_s,
            f", at {place}" if place else "",
        )
        try:
            told = self._close(None, stopped=False)
        except (LinkClosedError, FencedError) as error:
            _give_up(self._order.worker, error)
        os._exit(0 if told is None else 1)

    def _run(self, entered: target.Entered, roots: tuple[str, ...]) -> None:
        found = target.load(self._job.target, roots)
        self._place = target.place_of(found)
        transaction = Transaction(self._client)
        handles = self._handles(transaction)
        if handles and self._job.shape.called_once:
            current.offer(transaction)
        call = target.bind(found, self._job, handles, entered)
        if self._fault is not None:
            call = self._fault.around(call)
        context = CallContext(
            job=self._job,
            client=self._client,
            stopper=self._stopper,
            cell=self._cell,
            call=call,
            roots=roots,
            place=self._place,
            transaction=transaction,
            marks=self._marks,
            tell=self._tell,
        )
        transaction.ends.at_end = lambda: self._end_here(context)
        keep_answering(self._cell.words)
        with self._client.connection.lock:
            self._client.connection.send(Ready())
        self._stopper.check()  # the signal may have come while that was being sent
        try:
            _RUNNERS.get(self._job.shape, run_once)(context)
        finally:
            current.leave()
            transaction.ends.at_end = lambda: None  # else the target's module would be kept
        self._recycled = context.recycled

    def _end_here(self, context: CallContext) -> None:
        """End the process without another line of the target, which has succeeded (lock held).

        Whatever is raised ends here: the target would swallow that, too.
        """
        self._client.connection.lock.release()
        current.leave()
        try:
            failure = None
            try:
                conclude(context)
            except ReplayError as error:
                failure = context.describe(error)
            hang = not self._wait_for_threads()
            self._stopper.retire()
            code = self._finish(failure, int(failure is not None), stopped=False, hang=hang)
        except (LinkClosedError, FencedError) as error:
            _give_up(self._order.worker, error)
        try:
            _leave(code)
        except SystemExit:
            os._exit(code)  # a bare `except` would catch it

    def _wait_for_threads(self) -> bool:
        """Let the target's threads end, and a transaction that a daemon thread is in.

        False if they do not within the grace.
        """
        limit = time.monotonic() + self._job.terminate.grace_s
        ended = _wait_for_threads(self._job.terminate.grace_s)
        with self._client.connection.lock:
            self._client.await_block(limit - time.monotonic())
        return ended

    def _handles(self, transaction: Transaction) -> dict[str, Any]:
        """The handles by parameter; one queue has one handle, whichever way it is used."""
        job = self._job
        reads, writes = dict(job.read_handles), dict(job.write_handles)
        made: dict[str, QueueHandle] = {}
        for queue in (*reads.values(), *writes.values()):
            if queue not in made:
                made[queue] = QueueHandle(
                    queue,
                    self._client,
                    transaction,
                    holder=f"job {job.name!r}",
                    reads=queue in reads.values(),
                    writes=queue in writes.values(),
                    owned=not job.shape.called_once,
                )
                transaction.marks.append(made[queue].mark)
        return {param: made[queue] for param, queue in (reads | writes).items()}

    def _ended_by(self, error: BaseException, roots: tuple[str, ...]) -> tuple[Failure | None, int]:
        if issubclass(type(error), SystemExit):
            code = _exit_code(error)
            if code == 0 and self._job.shape.called_once:
                return None, 0
        else:
            code = 1
        self._readers_failed = type(error) is ShutDown and error.readers_failed
        return describe(error, roots, self._place), code

    def _close(self, failure: Failure | None, *, stopped: bool) -> Failure | None:
        with self._client.connection.lock:
            recycled = self._recycled if failure is None and not stopped else None
            return self._client.close(
                failure,
                stopped=stopped,
                signalled=self._stopper.requested and not stopped,
                recycled=recycled,
                stack=self._stack,
                readers_failed=self._readers_failed,
            )


def _give_up(worker: str, error: Exception) -> NoReturn:
    sys.stderr.write(f"mporch: {worker} gives up: {_in_words(error)}\n")
    os._exit(GAVE_UP)


def _check_environment(env: Iterable[tuple[str, str | None]]) -> None:
    """Raise TargetFailedError if the system cannot be handed a variable of the job."""
    for name, value in env:
        for part, text in (("the name", name), ("the value", value or "")):
            if what := unfit(text):
                message = f"{part} of the variable {name!a} in env has {what} (hint: {HINT})"
                raise target.TargetFailedError(Failure(kind="ValueError", message=message))


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        failure = Failure(kind=type(error).__name__, message=f"{error.strerror}: cwd {directory!r}")
        raise target.TargetFailedError(failure) from None
    except UnicodeEncodeError:
        message = f"cwd has {unfit(directory)}: {directory!a} (hint: {HINT})"
        failure = Failure(kind="ValueError", message=message)
        raise target.TargetFailedError(failure) from None


def _wait_for_threads(grace_s: float) -> bool:
    """Let the target's threads come to their end, as a Process does: what they put still counts.

    False if they do not within the grace. Executors are told to end by nothing but the call that
    Python makes at its own end.
    """
    main = threading.main_thread()
    if any(not thread.daemon and thread is not main for thread in threading.enumerate()):
        end = threading._shutdown  # type: ignore[attr-defined]
        waiting = threading.Thread(target=end, name="mporch-threads", daemon=True)
        waiting.start()
        waiting.join(grace_s)
        return not waiting.is_alive()
    return True


def _exit_code(error: BaseException) -> int:
    """Return what the process would exit with: the standard library's rules for `sys.exit`."""
    code = vars(SystemExit)["code"].__get__(error)
    if code is None:
        return 0
    return int.__and__(code, 0xFF) if issubclass(type(code), int) else 1


def _in_words(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in (errno.EBADF, errno.ENOTSOCK):
        return "the target has closed mporch's own descriptors"
    return str(error)


def _leave(code: int) -> None:
    """Exit with the code, or by the signal the worker was stopped with."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # the target may have closed it
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    raise SystemExit(code if code >= 0 else 128 - code)
