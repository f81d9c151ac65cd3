"""Node: all of a run that must be on its workers' machine, without their channels.

It makes processes, watches them, reads what they print and log, kills them and what they leave.
Its host, `engine/local` or a program of `engine/agents`, waits for `fileno` and calls `step`.
The host's process is a subreaper, and the main thread makes the node and calls it.
"""

from __future__ import annotations

import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from orchestrator.core.protocol.events import Blame, Orphaned, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import Notification, Progress, Warned
from orchestrator.core.reasons import names_of
from orchestrator.core.stacks import WorkerStack
from orchestrator.engine.engine import (
    Died,
    Figures,
    Happening,
    Overdue,
    StackTaken,
    Started,
    StartFailed,
    Told,
    Unstoppable,
)
from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.crash import Unanswered
from orchestrator.engine.node.hosting import LoopClock
from orchestrator.engine.node.item_watchdog import ItemWatchdog
from orchestrator.engine.node.process import (
    WORKER_MAIN,
    ForkserverLostError,
    ProcessFactory,
    Starting,
)
from orchestrator.engine.node.stacks import Look, Looks
from orchestrator.engine.node.workerio import WorkerIO
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.arena import Handover, give
from orchestrator.ipc.order import Order
from orchestrator.kernel.descendants import (
    Kin,
    kill_groups,
    reap_strangers,
    survivors,
    sweep,
)
from orchestrator.plan.model import Command, StartMethod

__all__ = ["Dial", "Node"]

Dial: TypeAlias = Callable[[str], socket.socket]
"""Opens the worker's end of the channel of a worker of that name, when its turn has come.

A blocking stream socket: half of a pair, or a TCP connection that has proved its key. It may raise
OSError, which is the worker's StartFailed. The node closes it once the worker has it: a host that
must shut the connection at a death keeps a duplicate."""

_SPARED = "a dead worker has left them, and they may still be at its item: end them yourself"


class Node:
    """The workers of a run on this machine.

    `factory` makes them; the node closes it. `clock` is its host's.
    """

    def __init__(self, dial: Dial, clock: LoopClock, factory: ProcessFactory) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._factory = factory
        self._starts = _Starts(
            self._factory, dial, self._selector, started=self._started, failed=self._failed
        )
        self._workers: dict[str, WorkerIO] = {}
        self._overdue = ItemWatchdog()
        self._unanswered = Unanswered()
        self._looks = Looks()
        self._output_held = self._records_held = False
        self._gone: set[int] = set()
        self._leaderless: set[int] = set()
        self._strangers_died = False
        self._happened: list[Happening] = []

    def fileno(self) -> int:
        """Return a descriptor (epoll) that is readable when `step` has something to do."""
        return self._selector.fileno()

    def next_deadline(self) -> float | None:
        """Return when `step` is to be called at the latest, by the host's clock; None: never.

        Asked in each turn of the host's loop: mostly nothing is timed, and that is seen at once.
        """
        starts, overdue, unanswered = self._starts, self._overdue, self._unanswered
        looks = self._looks
        if self._happened or self._strangers_died:
            return self._clock.now()
        if not (starts.waits or overdue.watches or unanswered.waits or looks.waits):
            return None
        deadlines = (
            starts.next_deadline(self._clock.now()) if starts.waits else None,
            overdue.next_check(self._clock),
            unanswered.next_check(),
            looks.next_check(),
        )
        return min((when for when in deadlines if when is not None), default=None)

    def step(self) -> Sequence[Happening]:
        """Do what is due, without waiting; return what has happened.

        Started, StartFailed, Died, Overdue and Told. At a Died all that the worker had printed has
        been told, and its group is killed, but its channel is the host's: that must be read to its
        end first (`local`: what is there; `agents`: shut the writing side of the duplicate).
        """
        self._gone.clear()
        for key, _ in self._selector.select(0):
            # A descriptor that was closed in this step was another's: its number may be anew.
            if key.fd not in self._gone:
                key.data()
        now = self._clock.now()
        for name, blame in self._overdue.due(self._clock):
            self._workers[name].overdue = blame
            self._happened.append(Overdue(worker=name, blame=blame))
        for name in self._unanswered.due(now):
            self._kill(self._workers[name])
        for name, look in self._looks.due(now):
            self._seen(name, look, look.late())
        # Before a new process can have a dead one's number.
        self._bury()
        self._starts.step(self._clock.now())
        return self._taken()

    # -- commands ---------------------------------------------------------------------------------

    def start(self, worker: str, order: Order) -> None:
        """Make a worker when its turn has come: one a step, in the order asked for."""
        assert worker == order.worker
        self._starts.add(order)

    def drop(self, worker: str) -> None:
        """Forget a start that was not begun; nothing happens if it was, or to a worker."""
        self._starts.drop(worker)

    def signal(self, worker: str, signum: int) -> None:
        """Signal its process; that this is refused is Unstoppable, in the next `settle`."""
        if (found := self._workers.get(worker)) is not None:
            found.process.signal(signum)
            self._note_refusal(found)

    def kill(self, worker: str) -> None:
        """SIGKILL to the worker and its process group."""
        if (found := self._workers.get(worker)) is not None:
            self._kill(found)

    def stack(self, worker: str) -> None:
        """Kill it, having it write its stack first; see `Engine.stack`."""
        if (found := self._workers.get(worker)) is None:
            return
        found.is_killed_for_item()
        if found.stack.ask():
            self._unanswered.add(worker, self._clock.now())
        else:
            self._kill(found)

    def look(self, worker: str) -> None:
        """Take its stack, and have it go on; see `Engine.look`."""
        if (found := self._workers.get(worker)) is None or worker in self._looks:
            return
        look = Look(found)
        if (stack := look.ask()) is not None:
            self._seen(worker, look, stack)
            return
        self._looks.add(worker, look, self._clock.now())
        self._watch(look.fd, lambda: self._read_stack(worker, look))

    def _read_stack(self, worker: str, look: Look) -> None:
        if (stack := look.read()) is not None:
            self._seen(worker, look, stack)

    def _seen(self, worker: str, look: Look, stack: WorkerStack) -> None:
        if self._looks.remove(worker) is not None:
            self._unwatch(look.fd)
        look.close()
        self._happened.append(StackTaken(worker=worker, stack=stack))

    def doing(self, worker: str) -> Blame:
        """Return what its progress cell says now."""
        found = self._workers.get(worker)
        return Blame() if found is None else found.blame()

    def measure(self, worker: str) -> Figures | None:
        """Return its figures of now; None if it is not there."""
        found = self._workers.get(worker)
        return None if found is None else found.figures()

    def hold_output(self, *, held: bool, records: bool = False) -> None:
        """Read no capture pipes for now, nor log `records` if so asked, or read all again."""
        self._output_held = held
        self._records_held = held and records
        for worker in self._workers.values():
            self._watch_output(worker)

    def hand(self, worker: str, arena: Handover) -> bool:
        """Give it an arena, beside its log; whether that could be."""
        if (found := self._workers.get(worker)) is None:
            return False
        try:
            give(found.process.log_sock, arena)
        except OSError:
            return False
        return True

    def child_died(self) -> None:
        """The host has had SIGCHLD: adopted strangers are reaped in the next `step`."""
        self._strangers_died = True

    def settle(self) -> Sequence[Happening]:
        """Kill what dead workers have left; return Unstoppable and Told. `step` does it, too."""
        self._bury()
        return self._taken()

    def close(self, within_s: float) -> Collection[Kin]:
        """End everybody and sweep; return who could not be killed.

        Nothing of the run stays: given-up workers, their children, daemons of targets.
        """
        for worker in list(self._workers.values()):
            self._forget(worker)
        self._starts.close()
        swept = sweep(within_s=within_s, spare=self._factory.helper_pids())
        self._factory.close()
        self._selector.close()
        return swept.survived

    # -- starts and deaths ------------------------------------------------------------------------

    def _started(self, order: Order, process: WorkerProcess) -> None:
        worker = self._workers[order.worker] = WorkerIO(order.worker, order.job, process)
        self._overdue.add(worker)
        self._watch(process.death_fd, lambda: self._died(worker))
        self._watch_output(worker)
        self._happened.append(Started(worker=order.worker, pid=process.pid))

    def _failed(self, worker: str, failure: Failure, orphaned: Orphaned | None) -> None:
        self._happened.append(StartFailed(worker=worker, failure=failure, orphaned=orphaned))

    def _died(self, worker: WorkerIO) -> None:
        """A pidfd says so: read what the worker has printed before, then tell.

        What it leaves behind in its group is killed before this step is over.
        """
        self._tell(worker.last_words())
        blame, exit_code = worker.blame(), worker.process.exit_code()
        if exit_code == -STACK_SIGNAL and worker.stack.asked:
            exit_code = -signal.SIGKILL  # in whose place it was sent
        if exit_code != 0 or blame.phase is not Phase.IDLE:
            self._leaderless.add(worker.process.pid)
        orphaned = exit_code in (None, -signal.SIGKILL) and worker.process.creator_died()
        self._happened.append(
            Died(
                worker=worker.name,
                exit_code=exit_code,
                blame=blame,
                failure=worker.process.creator_refused() if orphaned else worker.crash(),
                orphaned=Orphaned.FORKSERVER if orphaned else None,
                service=worker.service(),
            )
        )
        self._forget(worker)

    def _kill(self, worker: WorkerIO) -> None:
        if not worker.process.kill_group():
            self._leaderless.add(worker.process.pid)
        self._note_refusal(worker)

    def _note_refusal(self, worker: WorkerIO) -> None:
        if worker.process.unstoppable:
            self._happened.append(Unstoppable(worker=worker.name))

    def _bury(self) -> None:
        """Kill what dead workers have left in their groups: it may be at an item given to another.

        Once for all deaths of a step, and /proc is read only if the kernel says that somebody is in
        one of the groups (`kill_groups`).
        """
        if self._leaderless:
            if spared := survivors(kill_groups(self._leaderless)):
                warned = Warned(message=f"could not be killed: {names_of(spared)}", hint=_SPARED)
                self._tell([warned])
            self._leaderless.clear()
        if self._strangers_died:
            self._strangers_died = False
            pids = {worker.process.pid for worker in self._workers.values()}
            reap_strangers(frozenset(pids) | self._factory.helper_pids())

    def _taken(self) -> Sequence[Happening]:
        happened, self._happened = self._happened, []
        return happened

    # -- output -----------------------------------------------------------------------------------

    def _tell(self, notifications: Sequence[Notification | Progress]) -> None:
        if notifications:
            self._happened.append(Told(notifications=notifications))

    def _read_pipe(self, worker: WorkerIO, fd: int) -> None:
        facts = worker.read_pipe(fd)
        if facts is None:
            self._unwatch(fd)
            facts = worker.close_pipe(fd)
        self._tell(facts)

    def _read_log(self, worker: WorkerIO) -> None:
        facts = worker.read_log()
        if facts is None:
            self._unwatch(worker.process.log_sock)
        else:
            self._tell(facts)

    # -- descriptors ------------------------------------------------------------------------------

    def _watch(self, source: socket.socket | int, act: Callable[[], object]) -> None:
        self._selector.register(source, selectors.EVENT_READ, act)

    def _unwatch(self, source: socket.socket | int) -> None:
        if source in self._selector.get_map():
            self._gone.add(self._selector.unregister(source).fd)

    def _watch_output(self, worker: WorkerIO) -> None:
        log_sock = worker.process.log_sock
        self._hold(log_sock, self._records_held, lambda: self._read_log(worker))
        for fd in worker.pipes:
            self._hold(fd, self._output_held, lambda fd=fd: self._read_pipe(worker, fd))  # type: ignore[misc]

    def _hold(self, source: socket.socket | int, held: bool, act: Callable[[], object]) -> None:
        if held:
            self._unwatch(source)
        elif source not in self._selector.get_map():
            self._watch(source, act)

    def _forget(self, worker: WorkerIO) -> None:
        process = worker.process
        self._strangers_died = True  # its zombie may have hidden others
        sources: tuple[socket.socket | int, ...] = (process.log_sock, process.death_fd)
        for source in (*sources, *worker.pipes):
            self._unwatch(source)
        self._overdue.remove(worker)
        self._unanswered.remove(worker.name)
        if (look := self._looks.remove(worker.name)) is not None:
            self._unwatch(look.fd)
        worker.cell.close()
        process.close()
        self._workers.pop(worker.name, None)


class _Starts:
    """The workers in the making: ordered, and not there yet.

    One after another: a forkserver is asked for a process, and its answer is an event as any other.
    One that hangs holds up those it is to make, and nothing else of the run.

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
        failed: Callable[[str, Failure, Orphaned | None], None],
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

    @property
    def waits(self) -> bool:
        """True if a worker is not there yet."""
        return self._asked is not None or bool(self._ordered or self._served)

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
            main=WORKER_MAIN,
            payload=order.encode(),
            channel=self._dial(order.worker),
            env=dict(job.env),
            pythonpath=order.pythonpath,
            shows_stacks=not isinstance(job.target, Command),
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
        refusal = self._factory.refusal(error)
        lost = isinstance(error, ForkserverLostError) and not refusal
        kind = ConnectionError.__name__ if lost else type(error).__name__
        failure = Failure(kind=kind, message=refusal or str(error))
        self._failed(order.worker, failure, Orphaned.FORKSERVER if lost else None)

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
