"""Agents as the orchestrator sees them: what each has been told, and what it says of its lives.

An agent is believed no more than a worker. It speaks for its own lives only, of each in the order
in which they go; whoever breaks that is lost, like one that is silent.
"""

from __future__ import annotations

import enum
import selectors
import socket
from collections.abc import Callable

import msgspec

from orchestrator.core.protocol.events import Blame, Orphaned
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    Logged,
    OutputLine,
    Progress,
    Survivor,
)
from orchestrator.engine.agents import control
from orchestrator.engine.agents.connection import ControlConnection
from orchestrator.engine.agents.listener import peek
from orchestrator.engine.agents.process import Host
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

__all__ = ["Life", "LifePhase", "RemoteAgent"]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ACKNOWLEDGED_AT_ONCE = 64 * 1024


class LifePhase(enum.Enum):
    """How far a life has come. WAITING: its agent is not there yet, and knows nothing of it."""

    WAITING = enum.auto()
    ORDERED = enum.auto()
    STARTED = enum.auto()
    DEAD = enum.auto()


class Life:
    """One process of a worker, from its order on.

    `sock` is its channel, once that is proved and until the process is there. `died` is what its
    agent says of its death, which is told when its channel is read to its end, or it is `until`.
    """

    def __init__(
        self, number: int, agent: RemoteAgent, worker: str, job: str, order: bytes
    ) -> None:
        self.number = number
        self.agent = agent
        self.worker = worker
        self.job = job
        self.order = order
        self.phase = LifePhase.WAITING
        self.sock: socket.socket | None = None
        self.died: control.LifeDied | None = None
        self.until = 0.0
        self.seen = Blame()
        self.figures: Figures | None = None
        self.is_asked = False

    def takes(self, worker: str) -> bool:
        """Return whether a connection may be its channel: it waits for one, under that name.

        It may take the place of an earlier one on which nothing was said: its agent, which dials
        one at a time, has given that up.
        """
        if worker != self.worker or self.phase is not LifePhase.ORDERED:
            return False
        return self.sock is None or not peek(self.sock)

    def death(self) -> Happening:
        """Return what its agent's word makes of it."""
        assert self.died is not None
        return Died(
            worker=self.worker,
            exit_code=self.died.exit_code,
            blame=self.died.blame,
            failure=self.died.failure,
            orphaned=self.died.orphaned,
            service=self.died.service,
        )

    def loss(self, why: str) -> Happening:
        """Return what the loss of its agent makes of it."""
        if self.phase is LifePhase.STARTED:
            return Died(worker=self.worker, exit_code=None, orphaned=Orphaned.AGENT)
        failure = Failure(kind="AgentLost", message=why)
        return StartFailed(worker=self.worker, failure=failure, orphaned=Orphaned.AGENT)


class RemoteAgent:
    """One agent: its process, its control connection once there is one, and its lives.

    `joined` is told of a life whose process is there, before anybody else is. `proved` is its
    control connection until something comes by it: an agent may give one up and dial anew, and
    speaks at once on the one it keeps. `until`: by then it must have spoken, or be gone. `is_lost`:
    nothing it says is believed any more. `act` is to be called when it can be read, `ended` when
    its process has ended, `events` is what is waited for.
    """

    def __init__(
        self, name: str, process: Host, joined: Callable[[Life], None], *, until: float
    ) -> None:
        self.name = name
        self.process = process
        self.connection: ControlConnection[control.FromAgent] | None = None
        self.proved: socket.socket | None = None
        self.lives: dict[int, Life] = {}
        self.until: float | None = until
        self.is_lost = False
        self.has_ended = False
        self.why = ""
        self.survivors: tuple[Survivor, ...] = ()
        self.events = selectors.EVENT_READ
        self.act: Callable[[], None]
        self.ended: Callable[[], None]
        self._joined = joined
        self._owed = 0
        self._dead: list[Life] = []

    @property
    def there(self) -> ControlConnection[control.FromAgent] | None:
        """Its control connection, if it is connected and not lost."""
        return None if self.is_lost else self.connection

    # -- what it is told --------------------------------------------------------------------------

    def connect(self, connection: ControlConnection[control.FromAgent]) -> None:
        """It is there: whoever waits for it is ordered."""
        self.connection = connection
        self.until = None
        for life in self.lives.values():
            self._order(life)

    def add(self, life: Life) -> None:
        """Have it make a worker, as soon as it is there."""
        self.lives[life.number] = life
        if self.connection is not None:
            self._order(life)

    def _order(self, life: Life) -> None:
        life.phase = LifePhase.ORDERED
        self.tell(control.StartLife(life=life.number, worker=life.worker, order=life.order))
        life.order = b""

    def tell(self, record: control.ToAgent) -> None:
        """Queue a record for it, if it is there."""
        if self.connection is not None and not self.is_lost:
            self.connection.send(record)

    def acknowledge(self, *, all_of_it: bool) -> None:
        """Let it send as much output again as has been taken care of."""
        if self._owed >= _ACKNOWLEDGED_AT_ONCE or (all_of_it and self._owed):
            self.tell(control.Acknowledge(n=self._owed))
            self._owed = 0

    # -- what it says -----------------------------------------------------------------------------

    def take_dead(self) -> list[Life]:
        """Return the lives that it has told the ends of, each once."""
        dead, self._dead = self._dead, []
        return dead

    def hear(self, now: float, happened: list[Happening]) -> None:
        """Add what one read brings. Raises RecordError if it may not say that."""
        assert self.connection is not None
        said: list[OutputLine | Logged | Progress] = []
        for record, size in self.connection.read(now):
            output = self._output(record)
            if output is not None:
                said.append(output)
                self._owed += size
                continue
            if said:
                happened.append(Told(notifications=said))
                said = []
            if (happening := self._happening(record)) is not None:
                happened.append(happening)
        if said:
            happened.append(Told(notifications=said))

    def _output(self, record: control.FromAgent) -> OutputLine | Logged | Progress | None:
        """Return what a worker has printed or logged, which must be its own."""
        match record:
            case control.LifePrinted():
                output: OutputLine | Logged | Progress = record.line
            case control.LifeLogged():
                output = record.record
                if record.record.fields:
                    _check(record.record.fields)
            case control.LifeDrew():
                output = record.progress
            case _:
                return None
        life = self._life(record.life, LifePhase.STARTED)
        if output.worker != life.worker or output.job != life.job:
            raise control.RecordError("output in another's name")
        return output

    def _happening(self, record: control.FromAgent) -> Happening | None:
        match record:
            case control.Beat():
                pass
            case control.Cells():
                for number, blame in record.cells.items():
                    self._life(number, LifePhase.STARTED).seen = blame
            case control.AgentWarned():
                return Told(notifications=[record.warning])
            case control.AgentEnded():
                self.survivors = record.survivors
            case control.LifeStarted() | control.LifeNotStarted() | control.LifeCancelled():
                return self._answered(self._life(record.life, LifePhase.ORDERED), record)
            case control.LifeMeasured():
                life = self._life(record.life, LifePhase.STARTED)
                life.figures, life.is_asked = record.figures, False
            case control.LifeLooked():
                worker = self._life(record.life, LifePhase.STARTED).worker
                return StackTaken(worker=worker, stack=record.stack)
            case control.LifeOverdue():
                life = self._life(record.life, LifePhase.STARTED)
                life.seen = record.blame  # younger than what the last heartbeat has told
                return Overdue(worker=life.worker, blame=record.blame)
            case control.LifeUnstoppable():
                return Unstoppable(worker=self._life(record.life, LifePhase.STARTED).worker)
            case control.LifeDied():
                life = self._life(record.life, LifePhase.STARTED)
                life.died = record
                self._end(life)
        return None

    def _answered(
        self,
        life: Life,
        record: control.LifeStarted | control.LifeNotStarted | control.LifeCancelled,
    ) -> Happening | None:
        match record:
            case control.LifeStarted():
                if life.sock is None:
                    raise control.RecordError("a worker without a channel")
                life.phase = LifePhase.STARTED
                self._joined(life)
                return Started(worker=life.worker, pid=record.pid)
            case control.LifeNotStarted():
                self._end(life)
                return StartFailed(
                    worker=life.worker, failure=record.failure, orphaned=record.orphaned
                )
            case control.LifeCancelled():
                self._end(life)
        return None

    def _end(self, life: Life) -> None:
        life.phase = LifePhase.DEAD
        self._dead.append(life)

    def _life(self, number: int, phase: LifePhase) -> Life:
        life = self.lives.get(number)
        if life is None or life.phase is not phase:
            raise control.RecordError("word of a life that is not its own, or not there")
        return life


def _check(fields: str) -> None:
    """Raise unless this is a JSON object in one line of ASCII: it is logged as it is."""
    try:
        _fields(fields)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise control.RecordError(f"fields that are none: {error}") from error
    if not fields.isascii() or "\n" in fields or "\r" in fields:
        raise control.RecordError("fields that are not one line of ASCII")
