"""The agents of one run: begun when they are needed, let in, heard, lost and ended.

An agent that is lost (its control connection ends, is silent, or breaks the protocol) takes its
workers with it. Their connections are closed at once; they are told dead when the agent's host has
ended it, or has had its time for that.
"""

from __future__ import annotations

import itertools
import os
import secrets
import selectors
import socket
import time
from collections.abc import Callable

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import Survivor, Warned
from orchestrator.engine.agents import control
from orchestrator.engine.agents.connection import ControlConnection
from orchestrator.engine.agents.keys import KEY_BYTES, Purpose, agent_key
from orchestrator.engine.agents.listener import Listener, peek
from orchestrator.engine.agents.process import Begin, Host
from orchestrator.engine.agents.remote import Life, LifePhase, RemoteAgent
from orchestrator.engine.channels import Channels
from orchestrator.engine.engine import Happening, StartFailed, Told
from orchestrator.ipc.order import Order
from orchestrator.kernel import limits

__all__ = ["Fleet"]

_CONNECT_S = 60.0
"""An agent has to be there by then; on an idle machine it takes half a second."""

_END_S = 5.0
"""So long the end of what is dead or lost is waited for: of a channel, of an agent's process."""


class Fleet:
    """What happens is added to `happened`, which the engine takes. Times are monotonic seconds."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        channels: Channels,
        *,
        run: str,
        hash_seed: str,
        workers: int,
        agents: int,
        patience_s: float,
        directory: str | None,
        begin: Begin,
    ) -> None:
        self.happened: list[Happening] = []
        self.survivors: tuple[Survivor, ...] = ()
        self._selector = selector
        self._channels = channels
        self._run = run
        self._hash_seed = hash_seed
        self._workers = workers
        self._patience_s = patience_s
        self._directory = directory
        self._begin = begin
        self._descriptors = limits.ensure(workers)
        self._key = secrets.token_bytes(KEY_BYTES)
        self._listener = Listener(self._key, run)
        self._watch(self._listener, self._let_in)
        self._places: list[RemoteAgent | None] = [None] * agents
        self._place_of: dict[str, int] = {}
        self._agents: dict[str, RemoteAgent] = {}
        """Until their processes have ended, the lost ones too."""
        self._lives: dict[str, Life] = {}
        self._dying: dict[str, Life] = {}
        """Whose agents have told their deaths, and whose channels are not read to the end yet."""
        self._life_numbers = itertools.count(1)
        self._agent_numbers = itertools.count(1)
        self._is_held = False

    # -- workers ----------------------------------------------------------------------------------

    def life(self, worker: str) -> Life | None:
        """Return the life that a worker's name stands for now."""
        return self._lives.get(worker)

    def start(self, worker: str, job: str, order: Order) -> None:
        """Have the worker's agent make it; an agent is made when it gets its first worker."""
        place = self._place_of.setdefault(worker, len(self._place_of) % len(self._places))
        try:
            if (agent := self._places[place]) is None:
                agent = self._places[place] = self._begin_agent()
        except OSError as error:
            words = limits.in_words(error.errno) if error.errno in limits.REFUSALS else str(error)
            failure = Failure(kind=type(error).__name__, message=words)
            self.happened.append(StartFailed(worker=worker, failure=failure))
            return
        life = Life(next(self._life_numbers), agent, worker, job, order.encode())
        self._channels.open(worker)
        self._lives[worker] = life
        agent.add(life)

    def tell(self, worker: str, record: Callable[[int], control.ToAgent]) -> None:
        """Queue a record of a worker's life for its agent; of one that is dead none."""
        life = self._lives.get(worker)
        if life is not None and life.phase in {LifePhase.ORDERED, LifePhase.STARTED}:
            life.agent.tell(record(life.number))

    def forget(self, life: Life) -> None:
        """Nobody hears of it any more."""
        self._channels.forget(life.worker)
        if life.sock is not None:
            life.sock.close()
        life.agent.lives.pop(life.number, None)
        self._dying.pop(life.worker, None)
        if self._lives.get(life.worker) is life:
            del self._lives[life.worker]

    def is_read(self, worker: str) -> None:
        """Something has come by the worker's channel: if it is dead, its end may take longer."""
        if self._dying and (life := self._dying.get(worker)) is not None:
            life.until = time.monotonic() + _END_S

    def renew(self, now: float) -> None:
        """Nobody has read channels until now: the time of those that are dead begins again."""
        for life in self._dying.values():
            life.until = now + _END_S

    def _join(self, life: Life) -> None:
        """Its process is there: what it sends may be read from now on."""
        sock, life.sock = life.sock, None
        assert sock is not None
        self._channels.adopt(life.worker, sock)

    def _die(self, life: Life) -> None:
        """Tell its death: its channel is read to its end, or is not any more."""
        self.happened.append(life.death())
        life.agent.tell(control.BuryLife(life=life.number))
        self.forget(life)

    # -- the cycle --------------------------------------------------------------------------------

    def left_s(self, now: float) -> float:
        """Return the seconds until `tick` is due."""
        due = [life.until for life in self._dying.values()]
        for agent in self._agents.values():
            if (connection := agent.there) is not None:
                due.append(connection.next_check())
            if agent.until is not None:
                due.append(agent.until)
        if (deadline := self._listener.next_deadline()) is not None:
            due.append(deadline)
        return max(0.0, min(due, default=now + _CONNECT_S) - now)

    def tick(self, now: float) -> None:
        """Do what is due. Called after all that can be read is: who was stopped may have spoken."""
        for life in list(self._dying.values()):
            if life.until <= now or not self._channels.is_open(life.worker):
                self._die(life)
        for agent in list(self._agents.values()):
            if (connection := agent.there) is not None:
                if connection.beat(now):
                    self._acknowledge(agent, all_of_it=True)
                if connection.at_end:
                    self._lose(agent, connection.why)
            if agent.until is not None and agent.until <= now:
                self._expire(agent)
        if (deadline := self._listener.next_deadline()) is not None and deadline <= now:
            self._let_in()

    def flush(self) -> None:
        """Send what agents' connections take; never wait."""
        for agent in self._agents.values():
            if (connection := agent.there) is None:
                continue
            if connection.unsent:
                connection.flush()
            if (wanted := connection.events) != agent.events:
                agent.events = wanted
                self._selector.modify(connection.sock, wanted, (agent.act, None))

    def hold_output(self, *, held: bool) -> None:
        """Acknowledge no output for now: agents have their windows, and then workers wait."""
        self._is_held = held
        for agent in self._agents.values():
            self._acknowledge(agent, all_of_it=True)

    def heard(self) -> list[tuple[Listener | socket.socket, Callable[[], None]]]:
        """Return port and control connections, each with what to do when it is readable."""
        found: list[tuple[Listener | socket.socket, Callable[[], None]]]
        found = [(self._listener, self._let_in)]
        for agent in self._agents.values():
            connection = agent.there
            sock = agent.proved if connection is None else connection.sock
            if sock is not None:
                found.append((sock, agent.act))
        return found

    def pids(self) -> frozenset[int]:
        """Return the processes whose ends are waited for here."""
        return frozenset(agent.process.pid for agent in self._agents.values())

    def close(self, within_s: float) -> None:
        """Let every agent end its workers and itself; kill those that take too long."""
        for agent in self._agents.values():
            if agent.there is not None:
                agent.tell(control.EndAgent())
            elif not agent.is_lost:
                agent.process.end()
        self.flush()
        until = time.monotonic() + within_s + _END_S
        acts = {agent.act for agent in self._agents.values()}
        acts |= {agent.ended for agent in self._agents.values()}
        while self._agents and (left_s := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                if key.data[0] in acts and key.fd in self._selector.get_map():
                    key.data[0]()
                elif key.data[0] not in acts:
                    self._selector.unregister(key.fileobj)  # nobody waits for that any more
        for agent in self._agents.values():
            agent.process.kill()
        self._listener.close()

    # -- agents -----------------------------------------------------------------------------------

    def _begin_agent(self) -> RemoteAgent:
        name = f"agent-{next(self._agent_numbers)}"
        host, port = self._listener.address
        launch = control.AgentLaunch(
            host=host,
            port=port,
            key=agent_key(self._key, name),
            run=self._run,
            agent=name,
            patience_s=self._patience_s,
            hash_seed=self._hash_seed,
            workers=self._workers,
            descriptors=self._descriptors,
            host_pid=os.getpid(),
            directory=self._directory,
        )
        process = self._begin(launch)
        agent = RemoteAgent(name, process, self._join, until=time.monotonic() + _CONNECT_S)
        agent.act = lambda: self._hear(agent)
        agent.ended = lambda: self._process_ended(agent)
        self._agents[name] = agent
        self._watch(process, agent.ended)
        return agent

    def _let_in(self) -> None:
        """Take the connections that have proved the key, each for what it is due to, and once."""
        for sock, about in self._listener.step(time.monotonic()):
            agent = self._agents.get(about.agent)
            if agent is None or agent.is_lost:
                sock.close()
            elif about.purpose is Purpose.CONTROL:
                self._connect(agent, sock)
            else:
                life = agent.lives.get(about.life)
                if life is None or not life.takes(about.worker):
                    sock.close()
                else:
                    if life.sock is not None:
                        life.sock.close()
                    life.sock = sock

    def _connect(self, agent: RemoteAgent, sock: socket.socket) -> None:
        """Wait for its first word, on this connection instead of an earlier one without any."""
        self._meet(agent)
        if agent.connection is not None:
            sock.close()
            return
        self._drop_proved(agent)
        agent.proved = sock
        self._watch(sock, agent.act)

    def _meet(self, agent: RemoteAgent) -> None:
        """Believe that it is there when something has come by a connection it has proved."""
        if (sock := agent.proved) is None or (first := peek(sock)) is None:
            return
        if not first:
            self._drop_proved(agent)  # it dials anew, or its process ends
            return
        agent.proved = None
        now, patience_s = time.monotonic(), self._patience_s
        agent.connect(ControlConnection(sock, control.from_agent(), patience_s=patience_s, now=now))

    def _drop_proved(self, agent: RemoteAgent) -> None:
        if agent.proved is not None:
            self._selector.unregister(agent.proved)
            agent.proved.close()
            agent.proved = None

    def _hear(self, agent: RemoteAgent) -> None:
        self._meet(agent)
        if (connection := agent.there) is None:
            return
        try:
            agent.hear(time.monotonic(), self.happened)
        except control.RecordError as error:
            self._lose(agent, f"it has broken the protocol: {error}")
            return
        for life in agent.take_dead():
            if life.died is None:
                self.forget(life)
            else:
                life.until = time.monotonic() + _END_S
                self._dying[life.worker] = life
        self._acknowledge(agent)
        if connection.at_end:
            self._lose(agent, connection.why)

    def _acknowledge(self, agent: RemoteAgent, *, all_of_it: bool = False) -> None:
        if not self._is_held:
            agent.acknowledge(all_of_it=all_of_it)

    def _lose(self, agent: RemoteAgent, why: str) -> None:
        """Believe it no more: its connections are closed, and its host is to end it."""
        self.survivors += agent.survivors
        agent.is_lost, agent.why = True, why
        self._drop_proved(agent)
        if agent.connection is not None:
            self._selector.unregister(agent.connection.sock)
            agent.connection.close()
        self._places = [None if each is agent else each for each in self._places]
        for life in agent.lives.values():
            self._channels.forget(life.worker)
        warning = Warned(message=f"{agent.name} is lost: {why}")
        self.happened.append(Told(notifications=[warning]))
        if agent.has_ended:
            self._finish(agent)
        else:
            agent.process.end()
            agent.until = time.monotonic() + _END_S

    def _process_ended(self, agent: RemoteAgent) -> None:
        self._selector.unregister(agent.process)
        how = agent.process.reap()
        agent.has_ended = True
        if agent.is_lost:
            self._finish(agent)
        elif agent.connection is None:
            self._lose(agent, f"its process {how}")
        else:
            agent.until = time.monotonic() + _END_S  # the end of its connection is on its way

    def _expire(self, agent: RemoteAgent) -> None:
        """Its time is over: to be there, or to be gone."""
        if not agent.is_lost:
            gone = "its process has ended"
            self._lose(agent, gone if agent.has_ended else f"not there within {_CONNECT_S:g} s")
            return
        agent.process.kill()
        self._finish(agent)

    def _finish(self, agent: RemoteAgent) -> None:
        """Tell of its workers what their agent has told of them, or that they died with it."""
        agent.until = None
        for life in list(agent.lives.values()):
            self.happened.append(life.loss(agent.why) if life.died is None else life.death())
            self.forget(life)
        if agent.has_ended:
            del self._agents[agent.name]

    def _watch(self, source: Listener | Host | socket.socket, act: object) -> None:
        self._selector.register(source, selectors.EVENT_READ, (act, None))
