"""Conductor: drives the core, the store, the recorder, the log and the screen over an engine.

What happens becomes events for the core, and its commands become calls of the engine. It knows no
processes and no descriptors but those of its own output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from orchestrator.core.broker.observers import LiveTap
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.protocol import commands as do
from orchestrator.core.protocol import events
from orchestrator.core.protocol.commands import StopReason
from orchestrator.core.protocol.events import AnyBlob
from orchestrator.core.protocol.messages import Hello, Leased
from orchestrator.core.protocol.notifications import (
    DiskFull,
    DiskHasRoom,
    Notification,
    ProcessesSurvived,
    Progress,
    Survivor,
    WaitingFor,
    Warned,
)
from orchestrator.core.run import Run
from orchestrator.core.samples import Sample
from orchestrator.engine import engine as happenings
from orchestrator.engine.control_server import ControlServer
from orchestrator.engine.engine import Engine, Happening
from orchestrator.engine.orders import Orders
from orchestrator.engine.sampler import Sampler
from orchestrator.engine.stack_rounds import StackRounds, Tell
from orchestrator.errors import DiskFullError
from orchestrator.plan.model import Plan
from orchestrator.runlog.recording import Recorder
from orchestrator.store.store import Store

__all__ = ["Conductor", "Disk", "Namer", "Observer"]

_FLUSH_EVERY_S = 0.25
_SWEEP_S = 2.0
_SIGINT = 2
_HANGING = frozenset(
    {StopReason.ITEM_TIMEOUT, StopReason.START_TIMEOUT, StopReason.GRACE_OVER},
)
"""Reasons to kill a worker that has had its time: it is told where it hung."""


class Conductor:
    """Runs one plan to its end; a durable one goes on from a `resumption`, and into a `store`.

    A `recorder` keeps the items of the queues it taps, `control` serves other terminals. The run
    has begun at the monotonic time `began`, which is now if it is not given; `takers` are given its
    samples. At the end `survivors` could not be killed.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        orders: Orders,
        observer: Observer,
        *,
        store: Store | None = None,
        resumption: Resumption | None = None,
        recorder: Recorder | None = None,
        control: ControlServer | None = None,
        began: float | None = None,
        takers: Sequence[Callable[[Sample], None]] = (),
        namer: Namer | None = None,
    ) -> None:
        self.run = Run(plan, resumption, tap=recorder.tap if recorder is not None else None)
        self.survivors: tuple[Survivor, ...] = ()
        self._engine = engine
        self._orders = orders
        self._observer = observer
        self._store = store
        self._recorder = recorder
        self._control = control
        self._stacks = StackRounds(self.run, engine)
        self._namer = namer
        self._named = "", ""
        """The item named last, and its name: one that is overdue is told of twice."""
        self._disk = Disk(observer, engine.pause)
        self.sampler = Sampler(
            self.run,
            engine,
            began=time.monotonic() if began is None else began,
            takers=takers,
            disk_full_s=lambda: self._disk.waited_s,
        )
        self._now = engine.now
        self._send = engine.send
        self._answers_at_once = store is None and recorder is None
        self._is_awaited = False
        """Items for a worker that waits for them are to be sent."""
        self._fenced: set[str] = set()
        """Workers that are disconnected: what came with it, in the same turn, is not heard."""
        self._watched: set[int] = set()
        self._output_held = False
        self._flushes = True
        """The observer may have something to flush or to show, soon."""
        self._flushed_at = 0.0
        self._told = False
        self._finished = False
        self._takers: dict[type, Callable[[Any], None]] = {
            happenings.Received: self._received,
            happenings.Told: self._on_told,
            happenings.Started: self._started,
            happenings.StartFailed: self._handle,
            happenings.Malformed: self._handle,
            happenings.Died: self._died,
            happenings.Overdue: self._overdue,
            happenings.StackTaken: self._stack_taken,
            happenings.Unstoppable: self._handle,
            happenings.Signalled: self._signalled,
            happenings.Readable: self._readable,
            happenings.Waits: self._waits,
        }

    # -- the turn ---------------------------------------------------------------------------------

    def run_to_end(self) -> None:
        """Called in the parent's main thread. Returns when every worker has ended and is swept."""
        with self._engine.open():
            self._handle(events.Began())
            if self._control is not None:
                self._engine.watch(self._control.fileno(), self._control)
            while not self._finished:
                self._turn()
            self.sampler.take(self._now(), last=True)
            self._wind_up()
        self.sampler.close()

    def _turn(self) -> None:
        self._take(self._engine.wait(self._timeout()))
        now = self._now()
        deadline = self.run.next_deadline()
        if deadline is not None and deadline <= now:
            self._handle(events.Ticked())
        # What the dead have left is killed before anything is sent, for it may be at an item that
        # is given to another; who may not be signalled is known before anybody is told.
        while settled := self._engine.settle():
            self._take(settled)
        # What has changed is on disk before anybody is told.
        if self._told:
            self._disk.write(self._observer.commit)
        if self._store is not None:
            self._keep(self._store)
        if self._recorder is not None:
            self._disk.write(self._recorder.record)
        self._engine.flush()
        self._is_awaited = False
        if self._control is not None and self._control.is_tapping:
            self._control.pass_on()
        self.sampler.take_due(now)
        if self._told or self._watched or now - self._flushed_at >= _FLUSH_EVERY_S:
            self._observe(now)

    def _take(self, happened: Sequence[Happening]) -> None:
        for happening in happened:
            self._takers[type(happening)](happening)

    def _keep(self, store: Store) -> None:
        if entry := self.run.take_entry():
            self._disk.write(lambda: store.keep(entry), store.retry)

    def _timeout(self) -> float:
        deadline = self.run.next_deadline()
        soonest = self.sampler.due if deadline is None else min(deadline, self.sampler.due)
        if self._flushes:
            due = self._flushed_at + _FLUSH_EVERY_S
            soonest = min(soonest, due)
        return max(0.0, soonest - self._now())

    def _observe(self, now: float) -> None:
        observer = self._observer
        self._told = False
        if now - self._flushed_at >= _FLUSH_EVERY_S:
            self._flushed_at = now
            self._disk.write(observer.flush)
        self._watch_unwritten()
        if observer.backed_up is not self._output_held:
            self._output_held = observer.backed_up
            self._engine.hold_output(held=self._output_held)
        self._flushes = observer.pending

    def _watch_unwritten(self) -> None:
        wanted = set(self._observer.unwritten)
        for fd in self._watched - wanted:
            self._engine.unwatch(fd)
        for fd in wanted - self._watched:
            self._engine.watch(fd, fd, for_write=True)
        self._watched = wanted

    def _handle(self, event: events.Event) -> None:
        for command in self.run.handle(event, self._now()):
            if type(command) is do.Send:  # by far the most
                self._send(command.worker, command.message, command.blobs)
                self._is_awaited = self._is_awaited or type(command.message) is Leased
            else:
                self._carry_out(command)

    def _tell(self, notification: Notification | Progress) -> None:
        self._told = True
        now = self._now()
        self._disk.write(lambda: self._observer.notify(notification, now))

    # -- happenings -------------------------------------------------------------------------------

    def _received(self, happening: happenings.Received) -> None:
        worker, fenced = happening.worker, self._fenced
        for message, blobs in happening.frames:
            if worker in fenced:
                break  # one of them broke the protocol
            if not isinstance(message, Hello):
                self._handle(events.Received(worker=worker, message=message, blobs=blobs))
        if self._is_awaited and self._answers_at_once:
            self._answer()

    def _answer(self) -> None:
        """Send at once what a worker waits for, before others are heard; see `_turn`."""
        self._is_awaited = False
        if settled := self._engine.settle():
            self._take(settled)
        else:
            if self._told:
                self._disk.write(self._observer.commit)
            self._engine.flush()

    def _on_told(self, happening: happenings.Told) -> None:
        for notification in happening.notifications:
            self._tell(notification)

    def _started(self, happening: happenings.Started) -> None:
        self._handle(events.ProcessStarted(worker=happening.worker, pid=happening.pid))

    def _died(self, happening: happenings.Died) -> None:
        worker, blame = happening.worker, happening.blame
        self.sampler.died(happening)
        item = self.run.item_at(worker, blame) if blame.phase else ""
        self._handle(
            events.WorkerDied(
                worker=worker,
                exit_code=happening.exit_code,
                blame=blame,
                item=item,
                item_name=self._name_of(item, worker, blame),
                among=self.run.among(worker, blame),
                failure=happening.failure,
                orphaned=happening.orphaned,
            )
        )
        self._stacks.take(worker, None)

    def _stack_taken(self, happening: happenings.StackTaken) -> None:
        self._stacks.take(happening.worker, happening.stack)

    def _overdue(self, happening: happenings.Overdue) -> None:
        worker, blame = happening.worker, happening.blame
        item, among = self.run.item_at(worker, blame), self.run.among(worker, blame)
        name = self._name_of(item, worker, blame)
        self._handle(events.ItemOverdue(worker=worker, item=item, item_name=name, among=among))

    def _name_of(self, item: str, worker: str, blame: events.Blame) -> str:
        """Return what the item is called at which a worker has died or is to be killed."""
        if not item or self._namer is None:
            return ""
        if self._named[0] != item and (data := self.run.data_at(worker, blame)) is not None:
            queue, chunk, index, packed = data
            job = worker.rpartition("-")[0]
            self._named = item, self._namer.name(job, queue, chunk, index, packed=packed)
        return self._named[1] if self._named[0] == item else ""

    def _signalled(self, happening: happenings.Signalled) -> None:
        signum = happening.signum
        interrupted = signum == _SIGINT
        self._handle(events.Interrupted() if interrupted else events.Terminated(signal=signum))

    def _readable(self, happening: happenings.Readable) -> None:
        """Clients of the control socket have something to say, or the observer can write again."""
        if happening.token is self._control and self._control is not None:
            self._control.step(self)
            return
        self._disk.write(self._observer.flush)

    def _waits(self, happening: happenings.Waits) -> None:
        self._tell(Warned(message=f"{happening.worker} waits for a place: {happening.why}"))

    # -- other terminals: see `control_server.LiveRun` --------------------------------------------

    def samples(self) -> tuple[Sample, Sample]:
        """Return the newest sample, behind the oldest of the last seconds."""
        pair = self.sampler.window.pair
        if pair is None:
            first = self.sampler.take(self._now())
            return first, first
        return pair

    def stop(self, how: events.StopHow) -> None:
        """Have the run end."""
        self._handle(events.StopAsked(how=how))

    def tap(self, queue: str) -> LiveTap | None:
        """Return a tap of a queue, if there is one of that name."""
        return self.run.live_tap(queue)

    def look(self, who: str, tell: Tell) -> bool:
        """Have told where workers are: all, a job's or one; False if nobody has that name."""
        return self._stacks.begin(who, tell)

    # -- commands ---------------------------------------------------------------------------------

    def _carry_out(self, command: do.Command) -> None:
        match command:
            case do.Notify():
                notification = command.notification
                self._tell(
                    self._with_places(notification)
                    if isinstance(notification, WaitingFor)
                    else notification
                )
            case do.StartWorker():
                self._start(command)
            case do.SignalWorker():
                self._engine.signal(command.worker, command.signal)
            case do.KillWorker():
                if command.reason in _HANGING:
                    self._engine.stack(command.worker)
                else:
                    self._engine.kill(command.worker)
            case do.Disconnect():
                self._fenced.add(command.worker)
                self._engine.disconnect(command.worker)
            case do.Finish():
                self._finished = True

    def _start(self, command: do.StartWorker) -> None:
        worker, job = command.worker, command.job
        self._fenced.discard(worker)
        order = self._orders.of(job, worker, command.index, self.run.positions_of(worker))
        self._engine.start(worker, job, order)

    def _with_places(self, notification: WaitingFor) -> WaitingFor:
        """Add what each worker is at, which only its progress cell knows."""
        doing = (self.run.doing(name, self._engine.doing(name)) for name in notification.workers)
        return msgspec.structs.replace(notification, doing=tuple(doing))

    # -- the end ----------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """End given-up workers, their children, daemons of targets; tell who cannot be killed."""
        for fd in self._watched:
            self._engine.unwatch(fd)
        if self._control is not None:
            self._engine.unwatch(self._control.fileno())
        self.survivors = tuple(self._engine.close(_SWEEP_S))
        if self.survivors:
            self._tell(ProcessesSurvived(processes=self.survivors))


class Namer(Protocol):
    """Names items that their worker cannot name any more."""

    def name(self, job: str, queue: str, chunk: AnyBlob, index: int, *, packed: bool) -> str:
        """Return the name of an item of a chunk; empty if it has none. Takes a second at most."""


_RETRY_S = 1.0


class Disk:
    """Lets writes wait for room, at most `patience_s`, or until `pause` tells of a signal.

    `pause` waits for so many seconds, and returns whether the run is told to end meanwhile.
    `waited_s` is how long all of them together have waited.
    """

    def __init__(
        self, observer: Observer, pause: Callable[[float], bool], *, patience_s: float = 60.0
    ) -> None:
        self._observer = observer
        self._pause = pause
        self._patience_s = patience_s
        self.waited_s = 0.0

    def write(self, act: Callable[[], None], again: Callable[[], None] | None = None) -> None:
        """Do a write; while it raises DiskFullError do it again, or `again` if that is given.

        Raises DiskFullError when there is no room for too long or the run is told to end, and what
        else a write raises.
        """
        try:
            act()
        except DiskFullError as error:
            self._wait(error, again or act)

    def _wait(self, error: DiskFullError, again: Callable[[], None]) -> None:
        began = time.monotonic()
        self._tell(DiskFull(reason=str(error), timeout_s=self._patience_s), began)
        while time.monotonic() < began + self._patience_s and not self._pause(_RETRY_S):
            try:
                again()
            except DiskFullError as still:
                error = still
            else:
                now = time.monotonic()
                self.waited_s += now - began
                self._tell(DiskHasRoom(waited_s=now - began), now)
                return
        raise error

    def _tell(self, notification: Notification, now: float) -> None:
        with suppress(DiskFullError):
            self._observer.notify(notification, now)
            self._observer.flush()


class Observer(Protocol):
    """Called by the conductor, in its thread. Times are monotonic seconds.

    `backed_up`: do not read targets' output for now.
    """

    @property
    def backed_up(self) -> bool:
        """True if a reader is so slow that targets' output should not be read for now."""

    @property
    def pending(self) -> bool:
        """True if there is something to flush."""

    @property
    def unwritten(self) -> Collection[int]:
        """Descriptors that would take no more; `flush` is called when one of them does."""

    def notify(self, notification: Notification | Progress, now: float) -> None:
        """Something has happened, or a line that is drawn anew shows something else."""

    def commit(self) -> None:
        """Workers are about to be told: write what must not be lost of what has happened."""

    def flush(self) -> None:
        """The loop has a moment: write what is buffered."""
