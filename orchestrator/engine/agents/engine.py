"""AgentsEngine: workers with agents, which are programs of their own, over TCP.

A worker's frames come by a connection of its own, everything else by its agent's control
connection. A connection is a life: closed, whatever its process does is heard of no more.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.notifications import Survivor
from orchestrator.engine.agents import control
from orchestrator.engine.agents.connection import PATIENCE_S
from orchestrator.engine.agents.fleet import Fleet
from orchestrator.engine.agents.process import AgentProcess, Begin
from orchestrator.engine.agents.remote import LifePhase
from orchestrator.engine.channels import Channels
from orchestrator.engine.engine import Figures, Happening, Readable, Signalled, Started
from orchestrator.engine.node.hosting import LoopClock, caught_signals
from orchestrator.kernel.descendants import KnownSurvivors, reap_strangers, survivors, sweep

__all__ = ["AgentsEngine"]

AGENTS = 1
"""Workers are spread over so many, in turn. One is enough for one machine."""

_SWEEP_S = 2.0
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class AgentsEngine:
    """See `Engine` for what its methods do.

    `hash_seed` is the PYTHONHASHSEED of all workers, `workers` how many there may be at a time:
    raises UsageError if they need more descriptors than the system allows. `directory` is where
    agents make those of their own for sockets. `patience_s`: who says
    nothing for so long is lost. `begin` starts an agent. Survivors are added to `told` when they
    are known.
    """

    def __init__(
        self,
        *,
        run: str,
        hash_seed: str,
        workers: int,
        directory: str | None = None,
        told: KnownSurvivors | None = None,
        agents: int = AGENTS,
        patience_s: float = PATIENCE_S,
        begin: Begin = AgentProcess,
    ) -> None:
        self._told = told
        self._clock = LoopClock()
        self._selector = selectors.DefaultSelector()
        self._channels = Channels(self._selector)
        self._fleet = Fleet(
            self._selector,
            self._channels,
            run=run,
            hash_seed=hash_seed,
            workers=workers,
            agents=agents,
            patience_s=patience_s,
            directory=directory,
            begin=begin,
        )
        self._bell: socket.socket | None = None
        # One call less for each frame.
        self.now = self._clock.now
        self.send = self._channels.send
        self.start = self._fleet.start
        self.hold_output = self._fleet.hold_output

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Catch this process' signals."""
        with caught_signals() as bell:
            self._bell = bell
            self._selector.register(bell, selectors.EVENT_READ, (self._ring, None))
            yield

    # -- commands ---------------------------------------------------------------------------------

    def signal(self, worker: str, signum: int) -> None:
        """Have its agent do it."""
        self._fleet.tell(worker, lambda n: control.SignalLife(life=n, signum=signum))

    def kill(self, worker: str) -> None:
        """Have its agent do it."""
        self._fleet.tell(worker, lambda n: control.KillLife(life=n))

    def stack(self, worker: str) -> None:
        """Have its agent do it."""
        self._fleet.tell(worker, lambda n: control.StackOfLife(life=n))

    def look(self, worker: str) -> None:
        """Have its agent do it."""
        self._fleet.tell(worker, lambda n: control.LookAtLife(life=n))

    def disconnect(self, worker: str) -> None:
        """Close its connection: it hears of that, and is heard of no more."""
        self._channels.forget(worker)
        if (life := self._fleet.life(worker)) is None:
            return
        if life.phase is LifePhase.WAITING:
            self._fleet.forget(life)
        elif life.phase is LifePhase.ORDERED:
            self._fleet.tell(worker, lambda n: control.CancelLife(life=n))

    def doing(self, worker: str) -> Blame:
        """Return what its agent has told of it, at most a heartbeat ago."""
        life = self._fleet.life(worker)
        return Blame() if life is None else life.seen

    def measure(self, worker: str) -> Figures | None:
        """Return what its agent has told last, and have it tell anew."""
        life = self._fleet.life(worker)
        if life is None or life.phase is not LifePhase.STARTED:
            return None
        if not life.is_asked:
            life.is_asked = True
            self._fleet.tell(worker, lambda n: control.MeasureLife(life=n))
        return life.figures

    # -- what happens -----------------------------------------------------------------------------

    def watch(self, fd: int, token: object, *, for_write: bool = False) -> None:
        """Have the descriptor among those that are waited for."""
        events = selectors.EVENT_WRITE if for_write else selectors.EVENT_READ
        self._selector.register(fd, events, (Readable(token=token), None))

    def unwatch(self, fd: int) -> None:
        """Take it out."""
        self._selector.unregister(fd)

    def adopt(self, connection: int, worker: str) -> None:
        """Take a connection that came another way."""
        self._channels.adopt(worker, socket.socket(fileno=connection))

    def wait(self, timeout_s: float | None) -> Sequence[Happening]:
        """Wait for everything in one system call; what comes by channels is told first.

        Agents are heard before channels are read: one that is gone takes the pipes of its workers
        with it, and what these fail of then is not their doing.
        """
        fleet = self._fleet
        fleet.happened += self._channels.pending()
        left_s = 0.0 if fleet.happened else fleet.left_s(time.monotonic())
        timeout_s = left_s if timeout_s is None else min(timeout_s, left_s)
        self._clock.now()
        ready = [key for key, _ in self._selector.select(self._clock.plan_wait(timeout_s))]
        ready.sort(key=_is_channel)
        # Of a pause: a worker starts before what it has sent since then.
        first: list[Happening] = [e for e in fleet.happened if isinstance(e, Started)]
        if first:
            fleet.happened = [e for e in fleet.happened if not isinstance(e, Started)]
        watched = self._selector.get_map()
        for key in ready:
            if watched.get(key.fd) != key:
                continue  # what came before in this turn has closed it
            source, channel = key.data
            if channel is not None:
                if (said := self._channels.read(source, channel)) is not None:
                    first.append(said)
                    fleet.is_read(source)
            elif isinstance(source, Readable):
                fleet.happened.append(source)
            else:
                source()
        fleet.tick(time.monotonic())
        happened, fleet.happened = [*first, *fleet.happened], []
        return happened

    def settle(self) -> Sequence[Happening]:
        """Nothing is known before a later `wait`: until then a closed connection must do."""
        return ()

    def flush(self) -> None:
        """Send orders to agents, then frames to workers."""
        self._fleet.flush()
        self._channels.flush()

    def pause(self, seconds: float) -> bool:
        """Wait for the signals, and go on with heartbeats: else every agent would end itself.

        Who connects is let in. Channels are not read: the dead keep their time until they are.
        """
        assert self._bell is not None
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._bell, selectors.EVENT_READ, None)
                for source, act in self._fleet.heard():
                    waiting.register(source, selectors.EVENT_READ, act)
                wait_s = min(left_s, self._fleet.left_s(time.monotonic()))
                ready = [key.data for key, _ in waiting.select(wait_s)]
            is_told_to_end = None in ready and bool(self._signals())
            for act in ready:
                if act is not None:
                    act()
            now = time.monotonic()
            self._fleet.renew(now)
            self._fleet.tick(now)
            self._fleet.flush()
            if is_told_to_end:
                return True
        return False

    def close(self, within_s: float) -> Sequence[Survivor]:
        """End every agent, each of which ends its workers and what they have left; then sweep."""
        self._channels.close()
        self._fleet.close(within_s)
        self._selector.close()
        left = sweep(within_s=_SWEEP_S).survived
        if self._told is not None:
            self._told.add(left)
        found = {each.pid: each for each in (*self._fleet.survivors, *survivors(left))}
        return tuple(found.values())

    def _ring(self) -> None:
        self._fleet.happened += self._signals()

    def _signals(self) -> list[Happening]:
        """Return the signals that ask a run to end; adopted strangers are reaped."""
        assert self._bell is not None
        rung = self._bell.recv(1024)
        if signal.SIGCHLD in rung:
            reap_strangers(self._fleet.pids())
        return [Signalled(signum=signum) for signum in rung if signum in _ENDING]


def _is_channel(key: selectors.SelectorKey) -> bool:
    return key.data[1] is not None
