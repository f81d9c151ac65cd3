"""An agent: minds the workers of one machine for an orchestrator elsewhere.

Each worker's channel is a connection that the agent dials and hands to the child: its frames go
straight to the orchestrator. At a death the agent shuts the writing side of its duplicate and keeps
it open: a TCP socket that is closed with unread bytes loses what is on its way from it.

It ends, with all its workers, when its control connection does, or is silent for half of the
orchestrator's patience: before anybody else is given what they held.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    Logged,
    Notification,
    OutputLine,
    Progress,
    Warned,
)
from orchestrator.engine.agents import control
from orchestrator.engine.agents.connection import ControlConnection
from orchestrator.engine.agents.dialing import Dialing
from orchestrator.engine.agents.keys import Introduction, Purpose, UnprovedError
from orchestrator.engine.engine import (
    Died,
    Happening,
    Overdue,
    StackTaken,
    Started,
    StartFailed,
    Told,
    Unstoppable,
)
from orchestrator.engine.node.hosting import LoopClock, caught_signals
from orchestrator.engine.node.node import Node
from orchestrator.engine.node.process import factory_of_run
from orchestrator.ipc.order import Order
from orchestrator.kernel.descendants import KnownSurvivors, survivors

__all__ = ["WINDOW_BYTES", "Agent"]

WINDOW_BYTES = 1 << 20
"""Of output that the orchestrator has not acknowledged: then workers wait, in full pipes."""

_CLOSE_S = 2.0
_FAREWELL_S = 1.0
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class _Life:
    """One worker's process, from the order to make it until its connection may be closed."""

    def __init__(self, number: int, worker: str, order: Order) -> None:
        self.number = number
        self.worker = worker
        self.order = order
        self.dialing: Dialing | None = None
        self.channel: socket.socket | None = None
        self.seen = Blame()


class Agent:
    """Runs until its orchestrator lets it go, or is gone. In the main thread."""

    def __init__(
        self,
        launch: control.AgentLaunch,
        connection: ControlConnection[control.ToAgent],
        *,
        directory: str,
        told: KnownSurvivors,
    ) -> None:
        self.was_let_go = False
        self._launch = launch
        self._control = connection
        self._told = told
        self._address = (launch.host, launch.port)
        self._clock = LoopClock()
        self._selector = selectors.DefaultSelector()
        self._lives: dict[int, _Life] = {}
        self._by_name: dict[str, _Life] = {}
        self._dialed: dict[str, socket.socket] = {}
        self._unacknowledged = 0
        self._is_held = False
        self.is_over = False
        factory = factory_of_run(
            directory=directory, hash_seed=launch.hash_seed, workers=launch.workers
        )
        self._node = Node(self._dialed.pop, self._clock, factory)
        self._watch(self._control.sock, self._hear)
        self._watch(self._node, lambda: None)

    # -- the cycle --------------------------------------------------------------------------------

    def run(self) -> None:
        """Until it is let go, told to end by a signal, or without its orchestrator."""
        with caught_signals() as bell:
            self._watch(bell, lambda: self._signals(bell))
            try:
                while not self.is_over:
                    self.turn()
            finally:
                self.close()

    def turn(self) -> None:
        """Wait until something is to be done, and do it."""
        self._clock.now()
        for key, _ in self._selector.select(self._clock.plan_wait(self._timeout())):
            if self._selector.get_map().get(key.fd) == key:
                key.data()
        now = time.monotonic()
        for life in [each for each in self._lives.values() if each.dialing is not None]:
            self._redial(life, now)
        self._tell(self._node.step())
        if self._control.beat(now):
            self._tell_cells()
        self._control.flush()
        self._hold_output()
        if self._control.at_end:
            self.is_over = True
            return
        wanted = self._control.events
        if self._selector.get_key(self._control.sock).events != wanted:
            self._selector.modify(self._control.sock, wanted, self._hear)

    def _timeout(self) -> float:
        """Return the seconds until something is due; heartbeats always are."""
        now = time.monotonic()
        due = [self._control.next_check() - now]
        due += [each.dialing.until - now for each in self._lives.values() if each.dialing]
        if (deadline := self._node.next_deadline()) is not None:
            due.append(deadline - self._clock.now())
        return max(0.0, min(due))

    def _signals(self, bell: socket.socket) -> None:
        for signum in bell.recv(1024):
            if signum in _ENDING:
                self.is_over = True
            elif signum == signal.SIGCHLD:
                self._node.child_died()

    def close(self) -> None:
        """Nobody is left; the orchestrator, if it listens, learns of those that would not die.

        Workers lose their channels first: what they fail of from now on is not their doing.
        """
        for life in self._lives.values():
            if life.dialing is not None:
                life.dialing.close()
            if life.channel is not None:
                _shut(life.channel, socket.SHUT_RDWR)
        left = self._node.close(_CLOSE_S)
        self._told.add(left)
        if not self._control.at_end:
            self._control.send(control.AgentEnded(survivors=survivors(left)))
            self._control.sock.settimeout(_FAREWELL_S)  # nobody is left to be killed
            self._control.flush()
        self._control.close()
        self._selector.close()

    # -- what the orchestrator says ---------------------------------------------------------------

    def _hear(self) -> None:
        try:
            records = self._control.read(time.monotonic())
        except control.RecordError:
            self.is_over = True
            return
        for record, _ in records:
            self._obey(record)

    def _obey(self, record: control.ToAgent) -> None:
        match record:
            case control.Beat():
                pass
            case control.Acknowledge():
                self._unacknowledged -= record.n
            case control.EndAgent():
                self.was_let_go = self.is_over = True
            case control.StartLife():
                self._start(record)
            case _:
                if (life := self._lives.get(record.life)) is not None:
                    self._do(life, record)

    def _do(self, life: _Life, record: control.ToAgent) -> None:
        if isinstance(record, control.BuryLife):
            self._forget(life)
            return
        if self._by_name.get(life.worker) is not life:
            return  # it has died since then
        match record:
            case control.SignalLife():
                self._node.signal(life.worker, record.signum)
            case control.KillLife():
                self._node.kill(life.worker)
            case control.StackOfLife():
                self._node.stack(life.worker)
            case control.LookAtLife():
                self._node.look(life.worker)
            case control.MeasureLife():
                figures = self._node.measure(life.worker)
                self._control.send(control.LifeMeasured(life=life.number, figures=figures))
            case control.CancelLife():
                self._cancel(life)

    def _start(self, record: control.StartLife) -> None:
        order = Order.decode(record.order)
        life = _Life(record.life, record.worker, order)
        self._lives[life.number] = self._by_name[life.worker] = life
        about = Introduction(
            purpose=Purpose.CHANNEL,
            agent=self._launch.agent,
            worker=life.worker,
            life=life.number,
        )
        try:
            life.dialing = self._dial(about)
        except (OSError, UnprovedError) as error:
            self._not_started(life, error)
            return
        self._watch_dialing(life)

    def _cancel(self, life: _Life) -> None:
        """Forget a start that has not come to its process; else it is answered as it is."""
        if life.dialing is None:
            self._node.drop(life.worker)
            if life.worker not in self._dialed:
                return
            self._dialed.pop(life.worker).close()
        self._control.send(control.LifeCancelled(life=life.number))
        self._forget(life)

    # -- channels ---------------------------------------------------------------------------------

    def _dial(self, about: Introduction) -> Dialing:
        launch = self._launch
        return Dialing(self._address, launch.key, launch.run, about, now=time.monotonic())

    def _redial(self, life: _Life, now: float) -> None:
        """Begin anew with a connection whose time is over."""
        assert life.dialing is not None
        if now >= life.dialing.until:
            self._go_on(life, lambda dialing: dialing.retry(now))

    def _proving(self, life: _Life) -> None:
        """Go on with a handshake; with all proved the worker's turn has come."""
        dialing = life.dialing
        if dialing is None:
            return

        def go_on(dialing: Dialing) -> None:
            if not dialing.go_on(time.monotonic()):
                return
            life.dialing = None
            dialing.sock.setblocking(True)
            life.channel = dialing.sock.dup()
            self._dialed[life.worker] = dialing.sock
            self._node.start(life.worker, life.order)

        self._go_on(life, go_on)

    def _go_on(self, life: _Life, step: Callable[[Dialing], None]) -> None:
        """Take a dialing a step further; its socket may be another one afterwards."""
        assert life.dialing is not None
        self._selector.unregister(life.dialing.sock)
        try:
            step(life.dialing)
        except (OSError, UnprovedError) as error:
            life.dialing = None
            self._not_started(life, error)
            return
        if life.dialing is not None:
            self._watch_dialing(life)

    def _watch_dialing(self, life: _Life) -> None:
        assert life.dialing is not None
        self._selector.register(life.dialing.sock, life.dialing.events, lambda: self._proving(life))

    def _not_started(self, life: _Life, error: Exception) -> None:
        failure = Failure(kind=type(error).__name__, message=f"its channel: {error}")
        self._control.send(control.LifeNotStarted(life=life.number, failure=failure))
        self._forget(life)

    def _forget(self, life: _Life) -> None:
        if life.dialing is not None:
            self._selector.unregister(life.dialing.sock)
            life.dialing.close()
            life.dialing = None
        if life.channel is not None:
            life.channel.close()
        del self._lives[life.number]
        if self._by_name.get(life.worker) is life:
            del self._by_name[life.worker]

    # -- what the node says -----------------------------------------------------------------------

    def _tell(self, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            self._tell_one(happening)

    def _tell_one(self, happening: Happening) -> None:
        send = self._control.send
        match happening:
            case Told():
                for notification in happening.notifications:
                    self._tell_output(notification)
            case Started():
                life = self._by_name[happening.worker]
                send(control.LifeStarted(life=life.number, pid=happening.pid))
            case StartFailed():
                life = self._by_name[happening.worker]
                send(
                    control.LifeNotStarted(
                        life=life.number, failure=happening.failure, orphaned=happening.orphaned
                    )
                )
                self._forget(life)
            case Overdue():
                life = self._by_name[happening.worker]
                send(control.LifeOverdue(life=life.number, blame=happening.blame))
            case StackTaken():
                life = self._by_name[happening.worker]
                send(control.LifeLooked(life=life.number, stack=happening.stack))
            case Unstoppable():
                life = self._by_name[happening.worker]
                send(control.LifeUnstoppable(life=life.number))
            case Died():
                self._died(self._by_name.pop(happening.worker), happening)

    def _died(self, life: _Life, died: Died) -> None:
        """Nothing more comes from it: what is on its way is, and then the end."""
        if life.channel is not None:
            _shut(life.channel, socket.SHUT_WR)
        self._control.send(
            control.LifeDied(
                life=life.number,
                exit_code=died.exit_code,
                blame=died.blame,
                failure=died.failure,
                orphaned=died.orphaned,
                service=died.service,
            )
        )

    def _tell_output(self, notification: Notification | Progress) -> None:
        send = self._control.send
        if isinstance(notification, Warned):
            send(control.AgentWarned(warning=notification))
            return
        assert isinstance(notification, OutputLine | Logged | Progress)
        if (life := self._by_name.get(notification.worker)) is None:
            return
        match notification:
            case OutputLine():
                size = send(control.LifePrinted(life=life.number, line=notification))
            case Logged():
                size = send(control.LifeLogged(life=life.number, record=notification))
            case Progress():
                size = send(control.LifeDrew(life=life.number, progress=notification))
        self._unacknowledged += size

    def _hold_output(self) -> None:
        held = self._unacknowledged >= WINDOW_BYTES
        if held is not self._is_held:
            self._is_held = held
            self._node.hold_output(held=held, records=True)

    def _tell_cells(self) -> None:
        """Tell what has changed since the last beat: what each worker is at, for the user."""
        changed: dict[int, Blame] = {}
        for life in self._by_name.values():
            if life.dialing is None and (blame := self._node.doing(life.worker)) != life.seen:
                life.seen = changed[life.number] = blame
        if changed:
            self._control.send(control.Cells(cells=changed))

    def _watch(self, source: socket.socket | Node, act: Callable[[], object]) -> None:
        self._selector.register(source, selectors.EVENT_READ, act)


def _shut(sock: socket.socket, how: int) -> None:
    with suppress(OSError):  # the orchestrator has closed it already
        sock.shutdown(how)
