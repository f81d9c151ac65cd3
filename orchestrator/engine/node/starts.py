"""Starts: workers in the making, one after another. Called in the parent, by the loop.

A forkserver is asked for a process, and its answer is an event as any other: one that hangs holds
up those it is to make, and nothing else of the run.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable

from orchestrator.core.protocol.commands import StartWorker
from orchestrator.engine.node.process import Starting
from orchestrator.engine.node.starter import Starter
from orchestrator.engine.node.workerprocess import WorkerProcess

__all__ = ["Starts"]


class Starts:
    """The workers that were ordered and are not there yet.

    `begin` makes or asks for one; `started` and `failed` are told what has become of it. What is
    registered with the `selector` has `priority`.
    """

    def __init__(
        self,
        starter: Starter,
        selector: selectors.BaseSelector,
        priority: int,
        *,
        begin: Callable[[StartWorker], WorkerProcess | Starting],
        started: Callable[[StartWorker, WorkerProcess], None],
        failed: Callable[[StartWorker, OSError], None],
    ) -> None:
        self._starter = starter
        self._selector = selector
        self._priority = priority
        self._begin = begin
        self._started = started
        self._failed = failed
        self._ordered: deque[StartWorker] = deque()
        self._served: deque[StartWorker] = deque()
        self._asked: tuple[StartWorker, Starting] | None = None
        self._watched: set[int] = set()
        self._deadline = 0.0

    def add(self, command: StartWorker, *, served: bool) -> None:
        """One more is ordered; `served`: the forkserver is to make it."""
        (self._served if served else self._ordered).append(command)

    def drop(self, worker: str) -> None:
        """The worker is not to be: if nobody was asked for it yet, nobody will be."""
        for waiting in (self._ordered, self._served):
            for command in [each for each in waiting if each.worker == worker]:
                waiting.remove(command)

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
            command, starting = self._forget()
            self._failed(command, self._starter.give_up(starting))
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

    def _next(self, command: StartWorker, now: float) -> None:
        try:
            begun = self._begin(command)
        except OSError as error:
            self._failed(command, error)
            return
        if isinstance(begun, WorkerProcess):
            self._started(command, begun)
            return
        self._asked = command, begun
        self._deadline = now + begun.limit_s
        self._watch(begun.answer_fd, selectors.EVENT_READ)
        self._go_on()

    def _go_on(self) -> None:
        """The forkserver has answered, or takes more of the order."""
        if self._asked is None:
            return  # what was ready with it has ended that already
        command, starting = self._asked
        try:
            process = self._starter.go_on(starting)
        except OSError as error:
            self._forget()
            self._failed(command, error)
            return
        if process is not None:
            self._forget()
            self._started(command, process)
        elif starting.order_fd is None:
            self._unwatch(self._watched - {starting.answer_fd})
        elif starting.order_fd not in self._watched:
            self._watch(starting.order_fd, selectors.EVENT_WRITE)

    def _forget(self) -> tuple[StartWorker, Starting]:
        asked, self._asked = self._asked, None
        assert asked is not None
        self._unwatch(set(self._watched))
        return asked

    def _watch(self, fd: int, events: int) -> None:
        self._selector.register(fd, events, (self._priority, self._go_on))
        self._watched.add(fd)

    def _unwatch(self, fds: set[int]) -> None:
        for fd in fds:
            self._selector.unregister(fd)
            self._watched.discard(fd)
