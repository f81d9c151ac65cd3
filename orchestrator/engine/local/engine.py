"""LocalEngine: hosts a node in the orchestrator's own process, and reads its channels directly."""

from __future__ import annotations

import contextlib
import select
import selectors
import signal
import socket
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.protocol.events import AnyBlob, Blame, PlacedBlob
from orchestrator.core.protocol.messages import Leased, ToWorker
from orchestrator.core.protocol.notifications import Survivor
from orchestrator.engine.channels import Channels, Poller
from orchestrator.engine.engine import (
    Died,
    Figures,
    Happening,
    Malformed,
    Readable,
    Received,
    Signalled,
    Started,
    StartFailed,
    Told,
)
from orchestrator.engine.local.run_arenas import RunArenas
from orchestrator.engine.node.hosting import LoopClock, caught_signals
from orchestrator.engine.node.node import Node
from orchestrator.engine.node.process import ProcessFactory
from orchestrator.ipc.order import Order
from orchestrator.kernel.descendants import KnownSurvivors, survivors

__all__ = ["LocalEngine"]

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class LocalEngine:
    """See `Engine` for what its methods do, and `Node` for what it is made with.

    Survivors are added to `told` when they are known: who looks for them as well need not tell.
    """

    def __init__(self, factory: ProcessFactory, *, told: KnownSurvivors | None = None) -> None:
        clock = LoopClock()
        self._clock = clock
        self._poller = Poller()
        self._channels = Channels(self._poller)
        self._node = Node(self._dial, clock, factory)
        self._poller.register(self._node.fileno(), selectors.EVENT_READ, (None, None))
        self._dialled: dict[str, socket.socket] = {}
        self._orders: dict[str, Order] = {}
        self._arenas = RunArenas(self._node.hand, self._channels.send)
        self._bell: socket.socket | None = None
        self._told = told
        # One call less for each frame.
        self.now = clock.now
        self.signal = self._node.signal
        self.kill = self._node.kill
        self.stack = self._node.stack
        self.look = self._node.look
        self.hold_output = self._node.hold_output
        self.settle = self._node.settle

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Catch this process' signals."""
        with caught_signals() as bell:
            self._bell = bell
            self._poller.register(bell, selectors.EVENT_READ, (bell, None))
            yield

    def start(self, worker: str, job: str, order: Order) -> None:
        """Have the node make it."""
        del job
        self._channels.open(worker)
        self._orders[worker] = order
        self._node.start(worker, order)

    def send(self, worker: str, message: ToWorker, blobs: tuple[AnyBlob, ...]) -> None:
        """Queue a frame; of chunks that lie in arenas it has the places."""
        for blob in blobs:
            if isinstance(blob, PlacedBlob):
                assert isinstance(message, Leased)
                message, blobs = self._arenas.addressed(worker, message, blobs)
                break
        self._channels.send(worker, message, blobs)

    def flush(self) -> None:
        """Send what the sockets take."""
        self._arenas.tell()
        self._channels.flush()

    def disconnect(self, worker: str) -> None:
        """Shut its socket."""
        self._node.drop(worker)
        self._channels.disconnect(worker)

    def doing(self, worker: str) -> Blame:
        """Read its progress cell."""
        return self._node.doing(worker)

    def measure(self, worker: str) -> Figures | None:
        """Measure now."""
        return self._node.measure(worker)

    def watch(self, fd: int, token: object, *, for_write: bool = False) -> None:
        """Have the descriptor among those that are waited for."""
        events = selectors.EVENT_WRITE if for_write else selectors.EVENT_READ
        self._poller.register(fd, events, (Readable(token=token), None))

    def unwatch(self, fd: int) -> None:
        """Take it out."""
        self._poller.unregister(fd)

    def adopt(self, connection: int, worker: str) -> None:
        """Take a connection that came another way."""
        self._channels.adopt(worker, socket.socket(fileno=connection))

    def wait(self, timeout_s: float | None) -> Sequence[Happening]:
        """Wait for channels, signals, the node and what is watched, in one system call."""
        clock, channels, deadline = self._clock, self._channels, self._node.next_deadline()
        happened: list[Happening] = [*channels.pending()]
        now = clock.now()
        if happened:
            timeout_s = 0.0
        elif deadline is not None:
            left_s = max(0.0, deadline - now)
            timeout_s = left_s if timeout_s is None else min(timeout_s, left_s)
        later: list[object] = []
        for source, channel in self._poller.ready(clock.plan_wait(timeout_s)):
            if channel is None:
                later.append(source)
            elif (said := channels.read(source, channel)) is not None:
                happened += self._heard(said)
        is_due = deadline is not None and deadline <= clock.now()
        for source in later:
            if isinstance(source, Readable):
                happened.append(source)
                continue
            is_due = True
            if source is self._bell:
                happened += self._signals()
        if is_due:
            happened += self._step()
        return happened

    def pause(self, seconds: float) -> bool:
        """Wait for the signals alone."""
        assert self._bell is not None
        ready, _, _ = select.select([self._bell], [], [], seconds)
        return bool(ready) and bool(self._signals())

    def close(self, within_s: float) -> Sequence[Survivor]:
        """Sweep; nothing of the run stays on this machine."""
        self._channels.close()
        self._arenas.close()
        left = self._node.close(within_s)
        if self._told is not None:
            self._told.add(left)
        for ours in self._dialled.values():
            ours.close()
        self._poller.close()
        return survivors(left)

    # -- the node's host --------------------------------------------------------------------------

    def _dial(self, worker: str) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._dialled[worker] = ours
        return theirs

    def _step(self) -> Iterable[Happening]:
        """Hear what the dead have sent, then tell what they have printed, then that they died."""
        stepped = self._node.step()
        said: list[Happening] = []
        for happening in stepped:
            match happening:
                case Started():
                    worker = happening.worker
                    self._channels.adopt(worker, self._dialled.pop(worker))
                    self._arenas.started(worker, self._orders.pop(worker))
                    if (warning := self._arenas.take_warning()) is not None:
                        said.append(Told(notifications=[warning]))
                case StartFailed():
                    if (ours := self._dialled.pop(happening.worker, None)) is not None:
                        ours.close()
                    self._channels.forget(happening.worker)
                    self._orders.pop(happening.worker, None)
                case Died():
                    for each in self._channels.last_words(happening.worker):
                        said += self._heard(each)
                    self._channels.forget(happening.worker)
                    self._arenas.died(happening.worker)
        return [*said, *stepped]

    def _heard(self, said: Received | Malformed) -> Sequence[Received | Malformed]:
        return self._arenas.find(said) if isinstance(said, Received) else (said,)

    def _signals(self) -> list[Happening]:
        """Return the signals that ask a run to end; the node hears of the deaths of children."""
        assert self._bell is not None
        rung = self._bell.recv(1024)
        if signal.SIGCHLD in rung:
            self._node.child_died()
        return [Signalled(signum=signum) for signum in rung if signum in _ENDING]
