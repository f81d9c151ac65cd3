"""Node: all of a run that must be on its workers' machine, without their channels.

It makes processes, watches them, reads what they print and log, kills them and what they leave.
Its host, `engine/local` or a program of `engine/agents`, waits for `fileno` and calls `step`.
The host's process is a subreaper, and the main thread makes the node and calls it.
"""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable, Collection, Sequence

from orchestrator.core.protocol.events import Blame, Orphaned, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import Notification, Progress, Warned
from orchestrator.core.reasons import names_of
from orchestrator.engine.engine import (
    Died,
    Figures,
    Happening,
    Overdue,
    Started,
    StartFailed,
    Told,
    Unstoppable,
)
from orchestrator.engine.node import limits
from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.crash import Unanswered
from orchestrator.engine.node.descendants import (
    Kin,
    kill_groups,
    reap_strangers,
    survivors,
    sweep,
)
from orchestrator.engine.node.hosting import LoopClock
from orchestrator.engine.node.item_watchdog import ItemWatchdog
from orchestrator.engine.node.starts import Dial, Starts, factory_of
from orchestrator.engine.node.workerio import WorkerIO
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc.order import Order

__all__ = ["Dial", "Node"]

_SPARED = "a dead worker has left them, and they may still be at its item: end them yourself"


class Node:
    """The workers of a run on this machine.

    `directory` is for the sockets of multiprocessing, its path short. `hash_seed` is the
    PYTHONHASHSEED of all workers, so that sets come in the same order again. `workers` is how many
    there may be at a time: raises UsageError if they need more descriptors than the system allows.
    `clock` is its host's.
    """

    def __init__(
        self, dial: Dial, clock: LoopClock, *, directory: str, hash_seed: str, workers: int
    ) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._factory = factory_of(directory, hash_seed, limits.ensure(workers))
        self._starts = Starts(
            self._factory, dial, self._selector, started=self._started, failed=self._failed
        )
        self._workers: dict[str, WorkerIO] = {}
        self._overdue = ItemWatchdog()
        self._unanswered = Unanswered()
        self._output_held = False
        self._gone: set[int] = set()
        self._leaderless: set[int] = set()
        self._strangers_died = False
        self._happened: list[Happening] = []

    def fileno(self) -> int:
        """Return a descriptor (epoll) that is readable when `step` has something to do."""
        return self._selector.fileno()

    def next_deadline(self) -> float | None:
        """Return when `step` is to be called at the latest, by the host's clock; None: never."""
        now = self._clock.now()
        if self._happened or self._strangers_died:
            return now
        deadlines = (
            self._starts.next_deadline(now),
            self._overdue.next_check(self._clock),
            self._unanswered.next_check(),
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
        """Kill it for its overdue item, having it write its stack first; see `Engine.stack`."""
        if (found := self._workers.get(worker)) is None:
            return
        found.is_killed_for_item()
        if found.stack.ask():
            self._unanswered.add(worker, self._clock.now())
        else:
            self._kill(found)

    def doing(self, worker: str) -> Blame:
        """Return what its progress cell says now."""
        found = self._workers.get(worker)
        return Blame() if found is None else found.blame()

    def measure(self, worker: str) -> Figures | None:
        """Return its figures of now; None if it is not there."""
        found = self._workers.get(worker)
        return None if found is None else found.figures()

    def hold_output(self, *, held: bool) -> None:
        """Read no capture pipes for now, or read them again."""
        self._output_held = held
        for worker in self._workers.values():
            self._watch_pipes(worker)

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
        self._watch(process.log_sock, lambda: self._read_log(worker))
        self._watch(process.death_fd, lambda: self._died(worker))
        self._watch_pipes(worker)
        self._happened.append(Started(worker=order.worker, pid=process.pid))

    def _failed(self, worker: str, failure: Failure) -> None:
        self._happened.append(StartFailed(worker=worker, failure=failure))

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

    def _watch_pipes(self, worker: WorkerIO) -> None:
        for fd in worker.pipes:
            if self._output_held:
                self._unwatch(fd)
            elif fd not in self._selector.get_map():
                self._watch(fd, lambda fd=fd: self._read_pipe(worker, fd))  # type: ignore[misc]

    def _forget(self, worker: WorkerIO) -> None:
        process = worker.process
        self._strangers_died = True  # its zombie may have hidden others
        sources: tuple[socket.socket | int, ...] = (process.log_sock, process.death_fd)
        for source in (*sources, *worker.pipes):
            self._unwatch(source)
        self._overdue.remove(worker)
        self._unanswered.remove(worker.name)
        worker.cell.close()
        process.close()
        self._workers.pop(worker.name, None)
