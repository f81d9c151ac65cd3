"""The loop: one thread that waits for everything at once and carries the core's commands out.

Sockets, pidfds, signals, pipes and timers become events; commands become frames, signals and
processes. The broker's sockets come first, so that a worker that prints much waits, not the queues.
"""

from __future__ import annotations

import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable

import msgspec

from orchestrator.core.broker.setup import Resumption
from orchestrator.core.protocol import commands as do
from orchestrator.core.protocol import events
from orchestrator.core.protocol.commands import StopReason
from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import Failure, Hello
from orchestrator.core.protocol.notifications import (
    Notification,
    ProcessesSurvived,
    Progress,
    Survivor,
    WaitingFor,
    Warned,
)
from orchestrator.core.reasons import names_of
from orchestrator.core.run import Run
from orchestrator.engine.node.channel import READ_SIZE
from orchestrator.engine.node.clock import LoopClock
from orchestrator.engine.node.descendants import kill_groups, reap_strangers, sweep
from orchestrator.engine.node.disk_full import Disk
from orchestrator.engine.node.process import Starting
from orchestrator.engine.node.signals import caught_signals
from orchestrator.engine.node.stack_request import Unanswered
from orchestrator.engine.node.stacks import STACK_SIGNAL
from orchestrator.engine.node.starter import Starter
from orchestrator.engine.node.starts import Starts
from orchestrator.engine.node.survivors import Told, survivors
from orchestrator.engine.node.workerio import WorkerIO
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.engine.observer import Observer
from orchestrator.ipc import wire
from orchestrator.plan.model import Plan, StartMethod
from orchestrator.runlog.recording import Recorder
from orchestrator.store.store import Store

__all__ = ["Loop"]

_FLUSH_EVERY_S = 0.25
_SWEEP_S = 2.0
_FIRST, _LATER = 0, 1
_SPARED = "a dead worker has left them, and they may still be at its item: end them yourself"


class Loop:
    """Runs one plan to its end; a durable one goes on from a `resumption`, and into a `store`.

    A `recorder` keeps the items of the queues it taps. At the end `survivors` could not be killed;
    who looks for them as well learns by `told` that they are known.
    """

    def __init__(
        self,
        plan: Plan,
        starter: Starter,
        observer: Observer,
        *,
        store: Store | None = None,
        resumption: Resumption | None = None,
        recorder: Recorder | None = None,
        told: Told | None = None,
    ) -> None:
        self.run = Run(plan, resumption, tap=recorder.tap if recorder is not None else None)
        self._store = store
        self._recorder = recorder
        self._disk = Disk(observer)
        self._plan = plan
        self._starter = starter
        self._observer = observer
        self._selector = selectors.DefaultSelector()
        self._workers: dict[str, WorkerIO] = {}
        self._starts = Starts(
            starter,
            self._selector,
            _LATER,
            begin=self._begin,
            started=self._started,
            failed=self._start_failed,
        )
        self._sending: dict[str, WorkerIO] = {}
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._clock = LoopClock()
        self._flushed_at = 0.0
        self._pipes_paused = False
        self._watched: set[int] = set()
        self._finished = False
        self._told = False
        self._gone: set[int] = set()
        self._leaderless: set[int] = set()
        self._unstoppable: deque[str] = deque()
        self._unanswered = Unanswered()
        self._known_survivors = told
        self.survivors: tuple[Survivor, ...] = ()
        self._strangers_died = False

    # -- the cycle --------------------------------------------------------------------------------

    def run_to_end(self) -> None:
        """Called in the parent's main thread. Returns when every worker has ended and is swept."""
        with caught_signals() as bell:
            self._watch(bell, lambda: self._signals(bell), _FIRST)
            self._disk.bell = bell
            self._handle(events.Began())
            while not self._finished:
                self._cycle()
            self._selector.unregister(bell)
            self._wind_up()

    def _cycle(self) -> None:
        timeout = self._timeout(self._clock.now())
        ready = self._selector.select(self._clock.plan_wait(timeout))
        ready.sort(key=_priority)
        self._gone.clear()
        for key, _ in ready:
            if key.fd not in self._gone:
                _, act = key.data
                act()
        self._tick()
        self._bury()
        if not self._finished:
            self._starts.step(self._clock.now())
        if self._store is not None:
            self._keep(self._store)
        if self._recorder is not None:
            self._disk.write(self._recorder.record)
        self._send()
        self._observe()

    def _bury(self) -> None:
        """Kill what dead workers have left in their groups: it may be at an item given to another.

        Here once for all deaths of this turn, before anything is sent, and before a new process can
        have a dead one's number.
        """
        while self._unstoppable:
            self._handle(events.Unstoppable(worker=self._unstoppable.popleft()))
        if self._leaderless:
            if spared := survivors(kill_groups(self._leaderless)):
                self._tell(Warned(message=f"could not be killed: {names_of(spared)}", hint=_SPARED))
            self._leaderless.clear()
        if self._strangers_died:
            self._strangers_died = False
            reap_strangers(self._known())

    def _keep(self, store: Store) -> None:
        """Have all that has changed on disk before anybody is told."""
        if entry := self.run.take_entry():
            self._disk.write(lambda: store.keep(entry), store.retry)

    def _timeout(self, now: float) -> float | None:
        if self._unstoppable:
            return 0.0
        deadlines = [
            self.run.next_deadline(),
            self._starter.overdue.next_check(self._clock),
            self._starts.next_deadline(now),
            self._unanswered.next_check(),
        ]
        if self._observer.pending or self._observer.wants_snapshots:
            deadlines.append(self._flushed_at + _FLUSH_EVERY_S)
        soonest = min((when for when in deadlines if when is not None), default=None)
        return None if soonest is None else max(0.0, soonest - now)

    def _tick(self) -> None:
        now = self._clock.now()
        deadline = self.run.next_deadline()
        if deadline is not None and deadline <= now:
            self._handle(events.Ticked())
        for worker, blame in self._starter.overdue.due(self._clock):
            self._workers[worker].overdue = blame
            item = self.run.item_at(worker, blame)
            among = self.run.among(worker, blame)
            self._handle(events.ItemOverdue(worker=worker, item=item, among=among))
        for worker in self._unanswered.due(now):
            self._kill(self._workers[worker])

    def _observe(self) -> None:
        observer, now = self._observer, self._clock.now()
        is_time = now - self._flushed_at >= _FLUSH_EVERY_S
        if not (is_time or self._told or self._watched):
            return
        self._told = False
        if is_time:
            self._flushed_at = now
            if observer.wants_snapshots:
                observer.snapshot(self.run.snapshot(), now)
            self._disk.write(observer.flush)
        self._watch_unwritten()
        if observer.backed_up is not self._pipes_paused:
            self._pipes_paused = observer.backed_up
            for worker in self._workers.values():
                self._watch_pipes(worker)

    def _watch_unwritten(self) -> None:
        wanted = set(self._observer.unwritten)
        for fd in self._watched - wanted:
            self._selector.unregister(fd)
        for fd in wanted - self._watched:
            data = (_LATER, lambda: self._disk.write(self._observer.flush))
            self._selector.register(fd, selectors.EVENT_WRITE, data)
        self._watched = wanted

    # -- events -----------------------------------------------------------------------------------

    def _handle(self, event: events.Event) -> None:
        for command in self.run.handle(event, self._clock.now()):
            self._carry_out(command)

    def _tell(self, notification: Notification | Progress) -> None:
        self._told = True
        now = self._clock.now()
        self._disk.write(lambda: self._observer.notify(notification, now))

    def _signals(self, bell: socket.socket) -> None:
        for signum in bell.recv(1024):
            if signum == signal.SIGINT:
                self._handle(events.Interrupted())
            elif signum in (signal.SIGTERM, signal.SIGHUP):
                self._handle(events.Terminated(signal=signum))
            elif signum == signal.SIGCHLD:
                self._strangers_died = True

    def _known(self) -> frozenset[int]:
        pids = {worker.process.pid for worker in self._workers.values()}
        return frozenset(pids) | self._starter.helper_pids()

    def _read_channel(self, worker: WorkerIO) -> bool:
        """Take in what one read brings; whether there may be more."""
        try:
            frames = worker.read_channel(self._buffer)
        except wire.FrameError as error:
            self._handle(events.Malformed(worker=worker.name, detail=str(error)))
            return False
        for message, blobs in frames or ():
            if not worker.connected:
                break  # one of them broke the protocol
            if not isinstance(message, Hello):
                self._handle(events.Received(worker=worker.name, message=message, blobs=blobs))
        if worker.channel.at_end and worker.connected:
            self._unwatch(worker.process.sock)
            worker.connected = False
        return frames is not None and worker.connected

    def _read_pipe(self, worker: WorkerIO, fd: int) -> None:
        facts = worker.read_pipe(fd)
        if facts is None:
            self._unwatch(fd)
            facts = worker.close_pipe(fd)
        for notification in facts:
            self._tell(notification)

    def _read_log(self, worker: WorkerIO) -> None:
        facts = worker.read_log()
        if facts is None:
            self._unwatch(worker.process.log_sock)
            return
        for notification in facts:
            self._tell(notification)

    def _died(self, worker: WorkerIO) -> None:
        """A pidfd says so: hear what the worker has said before, then tell the core.

        There need not be an end: a child that it has left may hold the socket open. What it leaves
        behind in its group is killed before this turn of the loop is over.
        """
        worker.channel.end_with_what_is_there()
        while worker.connected and self._read_channel(worker):
            pass
        for notification in worker.last_words():
            self._tell(notification)
        blame, exit_code = worker.blame(), worker.process.exit_code()
        if exit_code == -STACK_SIGNAL and worker.stack.asked:
            exit_code = -signal.SIGKILL  # in whose place it was sent
        if exit_code != 0 or blame.phase:
            self._leaderless.add(worker.process.pid)
        orphaned = exit_code in (None, -signal.SIGKILL) and worker.process.creator_died()
        died = events.WorkerDied(
            worker=worker.name,
            exit_code=exit_code,
            blame=blame,
            item=self.run.item_at(worker.name, blame) if blame.phase else "",
            among=self.run.among(worker.name, blame),
            failure=worker.process.creator_refused() if orphaned else worker.crash(),
            orphaned=orphaned,
        )
        self._forget(worker)
        self._handle(died)

    # -- commands ---------------------------------------------------------------------------------

    def _carry_out(self, command: do.Command) -> None:
        match command:
            case do.Send():
                if worker := self._workers.get(command.worker):
                    worker.channel.send(command.message, command.blobs)
                    self._sending[command.worker] = worker
            case do.Notify():
                notification = command.notification
                self._tell(
                    self._with_places(notification)
                    if isinstance(notification, WaitingFor)
                    else notification
                )
            case do.StartWorker():
                method = self._plan.jobs[command.job].start_method
                self._starts.add(command, served=method is StartMethod.FORKSERVER)
            case do.SignalWorker() | do.KillWorker():
                if worker := self._workers.get(command.worker):
                    self._signal(worker, command)
            case do.Disconnect():
                self._starts.drop(command.worker)
                if (worker := self._workers.get(command.worker)) and worker.connected:
                    self._unwatch(worker.process.sock)
                    worker.process.sock.shutdown(socket.SHUT_RDWR)
                    worker.connected = False
            case do.Finish():
                self._finished = True

    def _signal(self, worker: WorkerIO, command: do.SignalWorker | do.KillWorker) -> None:
        """Signal a worker; that it may not be, the core hears before the turn is over."""
        if isinstance(command, do.SignalWorker):
            worker.process.signal(command.signal)
        else:
            self._kill_for(command.reason, worker)
        if worker.process.unstoppable:
            self._unstoppable.append(worker.name)

    def _kill_for(self, reason: StopReason, worker: WorkerIO) -> None:
        if reason is StopReason.ITEM_TIMEOUT:
            worker.is_killed_for_item()
            if worker.stack.ask():
                self._unanswered.add(worker.name, self._clock.now())
                return
        self._kill(worker)

    def _kill(self, worker: WorkerIO) -> None:
        if not worker.process.kill_group():
            self._leaderless.add(worker.process.pid)

    def _with_places(self, notification: WaitingFor) -> WaitingFor:
        """Add what each worker is at, which only its progress cell knows."""
        cells = [(name, self._workers.get(name)) for name in notification.workers]
        doing = (
            self.run.doing(name, worker.blame() if worker else Blame()) for name, worker in cells
        )
        return msgspec.structs.replace(notification, doing=tuple(doing))

    def _begin(self, command: do.StartWorker) -> WorkerProcess | Starting:
        job, positions = self._plan.jobs[command.job], self.run.positions_of(command.worker)
        return self._starter.begin(job, command.worker, command.index, positions)

    def _start_failed(self, command: do.StartWorker, error: OSError) -> None:
        message = self._starter.refusal(error) or str(error)
        failure = Failure(kind=type(error).__name__, message=message)
        self._handle(events.StartFailed(worker=command.worker, failure=failure))

    def _started(self, command: do.StartWorker, process: WorkerProcess) -> None:
        job = self._plan.jobs[command.job]
        worker = self._workers[command.worker] = WorkerIO(command.worker, job, process)
        self._starter.overdue.add(worker)
        self._watch(process.sock, lambda: self._read_channel(worker), _FIRST)
        self._watch(process.log_sock, lambda: self._read_log(worker), _LATER)
        self._watch(process.death_fd, lambda: self._died(worker), _LATER)
        self._watch_pipes(worker)
        self._handle(events.ProcessStarted(worker=command.worker, pid=process.pid))

    def _send(self) -> None:
        sending, self._sending = self._sending, {}
        for name, worker in sending.items():
            if not worker.connected:
                continue
            if worker.channel.flush():
                events_ = selectors.EVENT_WRITE if worker.channel.blocked else 0
                key = self._selector.get_key(worker.process.sock)
                wanted = selectors.EVENT_READ | events_
                self._selector.modify(worker.process.sock, wanted, key.data)
            if worker.channel.blocked:
                self._sending[name] = worker
            if worker.channel.is_overfull:
                detail = "asks, and does not read the answers"
                self._handle(events.Malformed(worker=name, detail=detail))

    # -- descriptors ------------------------------------------------------------------------------

    def _watch(self, source: socket.socket | int, act: Callable[[], object], priority: int) -> None:
        self._selector.register(source, selectors.EVENT_READ, (priority, act))

    def _unwatch(self, source: socket.socket | int) -> None:
        if source in self._selector.get_map():
            self._gone.add(self._selector.unregister(source).fd)

    def _watch_pipes(self, worker: WorkerIO) -> None:
        for fd in worker.pipes:
            if self._pipes_paused:
                self._unwatch(fd)
            elif fd not in self._selector.get_map():
                self._watch(fd, lambda fd=fd: self._read_pipe(worker, fd), _LATER)  # type: ignore[misc]

    def _forget(self, worker: WorkerIO) -> None:
        process = worker.process
        self._strangers_died = True  # its zombie may have hidden others
        sources: tuple[socket.socket | int, ...] = (process.sock, process.log_sock)
        for source in (*sources, process.death_fd, *worker.pipes):
            self._unwatch(source)
        self._starter.overdue.remove(worker)
        self._unanswered.remove(worker.name)
        worker.cell.close()
        process.close()
        self._workers.pop(worker.name, None)
        self._sending.pop(worker.name, None)

    def _wind_up(self) -> None:
        """Nothing of the run stays: given-up workers, their children, daemons of targets.

        Who cannot be killed is told.
        """
        for worker in list(self._workers.values()):
            self._forget(worker)
        self._starts.close()
        swept = sweep(within_s=_SWEEP_S, spare=self._starter.helper_pids())
        if swept.survived:
            self.survivors = survivors(swept.survived)
            self._tell(ProcessesSurvived(processes=self.survivors))
            if self._known_survivors is not None:
                self._known_survivors.add(swept.survived)
        self._starter.close()
        for fd in self._watched:
            self._selector.unregister(fd)
        self._selector.close()


def _priority(ready: tuple[selectors.SelectorKey, int]) -> int:
    priority: int = ready[0].data[0]
    return priority
