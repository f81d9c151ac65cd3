"""Starts: workers in the making, one after another. Called by the node.

A forkserver is asked for a process, and its answer is an event as any other: one that hangs holds
up those it is to make, and nothing else of the run.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.process import ProcessFactory, Starting
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.order import Order
from orchestrator.plan.command import Command
from orchestrator.plan.model import StartMethod

__all__ = ["Dial", "Starts"]

Dial: TypeAlias = Callable[[str], socket.socket]
"""Opens the worker's end of the channel of a worker of that name, when its turn has come.

A blocking stream socket: half of a pair, or a TCP connection that has proved its key. It may raise
OSError, which is the worker's StartFailed. The node closes it once the worker has it: a host that
must shut the connection at a death keeps a duplicate."""

_MAIN = "orchestrator.worker.main"
_KEEP_BYTES = str(256 << 20)
_SURROUNDINGS = {
    # Large pickles must not be mapped and unmapped one by one: that is most of their cost.
    "MALLOC_MMAP_THRESHOLD_": _KEEP_BYTES,
    "MALLOC_TRIM_THRESHOLD_": _KEEP_BYTES,
}


def factory_of(directory: str, hash_seed: str, descriptors: int) -> ProcessFactory:
    """Return the factory of a run's workers; see `Node` and `ProcessFactory`."""
    return ProcessFactory(
        preload=(_MAIN,),
        directory=directory,
        environment={**_SURROUNDINGS, "PYTHONHASHSEED": hash_seed},
        descriptors=descriptors,
    )


class Starts:
    """The workers that were ordered and are not there yet.

    `started` and `failed` are told what has become of each. What is registered with the `selector`
    has a function as its data, which is to be called when it is ready.
    """

    def __init__(
        self,
        factory: ProcessFactory,
        dial: Dial,
        selector: selectors.BaseSelector,
        *,
        started: Callable[[Order, WorkerProcess], None],
        failed: Callable[[str, Failure], None],
    ) -> None:
        self._factory = factory
        self._dial = dial
        self._selector = selector
        self._started = started
        self._failed = failed
        self._ordered: deque[Order] = deque()
        self._served: deque[Order] = deque()
        self._asked: tuple[Order, Starting] | None = None
        self._watched: set[int] = set()
        self._deadline = 0.0

    def add(self, order: Order) -> None:
        """One more is ordered."""
        served = order.job.start_method is StartMethod.FORKSERVER
        (self._served if served else self._ordered).append(order)

    def drop(self, worker: str) -> None:
        """The worker is not to be: if nobody was asked for it yet, nobody will be."""
        for waiting in (self._ordered, self._served):
            for order in [each for each in waiting if each.worker == worker]:
                waiting.remove(order)

    def next_deadline(self, now: float) -> float | None:
        """The time of the next `step`, as monotonic seconds; None if there is nothing to do."""
        if self._ordered or (self._served and self._asked is None):
            return now
        return self._deadline if self._asked is not None else None

    def step(self, now: float) -> None:
        """Begin the next one; give one up whose time is over.

        The forkserver is asked for one after another: those that it is not to make pass it by.
        """
        if self._asked is not None and now >= self._deadline:
            order, starting = self._forget()
            self._fail(order, self._factory.give_up(starting))
        if self._ordered:
            self._next(self._ordered.popleft(), now)
        elif self._served and self._asked is None:
            self._next(self._served.popleft(), now)

    def close(self) -> None:
        """The run is over: nobody waits for an answer any more."""
        self._ordered.clear()
        self._served.clear()
        if self._asked is not None:
            self._forget()[1].close()

    def _next(self, order: Order, now: float) -> None:
        try:
            begun = self._begin(order)
        except OSError as error:
            self._fail(order, error)
            return
        if isinstance(begun, WorkerProcess):
            self._started(order, begun)
            return
        self._asked = order, begun
        self._deadline = now + begun.limit_s
        self._watch(begun.answer_fd, selectors.EVENT_READ)
        self._go_on()

    def _begin(self, order: Order) -> WorkerProcess | Starting:
        job = order.job
        return self._factory.begin(
            name=order.worker,
            method=job.start_method,
            main=f"{_MAIN}:main",
            payload=order.encode(),
            channel=self._dial(order.worker),
            env=dict(job.env),
            pythonpath=order.pythonpath,
            tells_stack=job.timeouts.item_s is not None and not isinstance(job.target, Command),
        )

    def _go_on(self) -> None:
        """The forkserver has answered, or takes more of the order."""
        if self._asked is None:
            return  # what was ready with it has ended that already
        order, starting = self._asked
        try:
            process = self._factory.go_on(starting)
        except OSError as error:
            self._forget()
            self._fail(order, error)
            return
        if process is not None:
            self._forget()
            self._started(order, process)
        elif starting.order_fd is None:
            self._unwatch(self._watched - {starting.answer_fd})
        elif starting.order_fd not in self._watched:
            self._watch(starting.order_fd, selectors.EVENT_WRITE)

    def _fail(self, order: Order, error: OSError) -> None:
        message = self._factory.refusal(error) or str(error)
        self._failed(order.worker, Failure(kind=type(error).__name__, message=message))

    def _forget(self) -> tuple[Order, Starting]:
        asked, self._asked = self._asked, None
        assert asked is not None
        self._unwatch(set(self._watched))
        return asked

    def _watch(self, fd: int, events: int) -> None:
        self._selector.register(fd, events, self._go_on)
        self._watched.add(fd)

    def _unwatch(self, fds: set[int]) -> None:
        for fd in fds:
            self._selector.unregister(fd)
            self._watched.discard(fd)
