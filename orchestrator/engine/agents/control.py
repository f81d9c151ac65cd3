"""Records of a control connection, between the orchestrator and one agent. Pure: bytes in and out.

A record is a length and one MessagePack array. Nothing is unpickled here; the agent unpickles the
orders of its orchestrator, which has proved the key. What an agent says is believed no more than
what a worker says: a record has a longest length, which is looked at before it comes, and its type
and each field are checked. A `life` is one process of a worker: the orchestrator counts them.
"""

from __future__ import annotations

import struct
from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

from orchestrator.core.protocol.events import Blame, Orphaned
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    Logged,
    OutputLine,
    Progress,
    Survivor,
    Warned,
)
from orchestrator.core.samples import Figures, Service
from orchestrator.core.stacks import WorkerStack

__all__ = [
    "MOST_FROM_AGENT",
    "MOST_TO_AGENT",
    "Acknowledge",
    "AgentEnded",
    "AgentLaunch",
    "AgentWarned",
    "Beat",
    "BuryLife",
    "CancelLife",
    "Cells",
    "EndAgent",
    "FromAgent",
    "KillLife",
    "LifeCancelled",
    "LifeDied",
    "LifeDrew",
    "LifeLogged",
    "LifeLooked",
    "LifeMeasured",
    "LifeNotStarted",
    "LifeOverdue",
    "LifePrinted",
    "LifeStarted",
    "LifeUnstoppable",
    "LookAtLife",
    "MeasureLife",
    "RecordError",
    "RecordReader",
    "SignalLife",
    "StackOfLife",
    "StartLife",
    "ToAgent",
    "encode",
    "from_agent",
    "to_agent",
]

R = TypeVar("R")

_LENGTH = struct.Struct("<I")
MOST_FROM_AGENT = 4 << 20
"""Far more than any has: a printed line has at most 64 KiB, which escapes may make 256 of."""
MOST_TO_AGENT = (1 << 31) - 1
"""An order holds what its worker has put before, up to the largest item."""
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError)

_Life = Annotated[int, msgspec.Meta(ge=1, lt=1 << 62)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Pid = Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]
_Code = Annotated[int, msgspec.Meta(ge=-64, le=255)]


class AgentLaunch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The launch of an agent, on its standard input: a command line or environment others can read.

    It says where its orchestrator is, how to prove who it is, and what its node needs.

    `patience_s` is the orchestrator's: the agent has half of it. `descriptors` is the soft limit of
    open files that the workers are to have. `host_pid` is the process that has started it, if it is
    to end with that, else 0. `directory` is that one's own for temporary files, which it removes.
    """

    host: str
    port: int
    key: bytes
    run: str
    agent: str
    patience_s: float
    hash_seed: str
    workers: int
    descriptors: int
    host_pid: int = 0
    directory: str | None = None

    def __repr__(self) -> str:
        return f"<AgentLaunch of {self.agent}>"

    def encode(self) -> bytes:
        """Called in the orchestrator."""
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(data: bytes) -> AgentLaunch:
        """Called in the agent. Raises msgspec's errors."""
        return msgspec.msgpack.decode(data, type=AgentLaunch)


class RecordError(Exception):
    """What has come is no record of this protocol, or not one that may come now."""


class _Record(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """Base of all records."""


class Beat(_Record, tag=0, frozen=True, kw_only=True):
    """Either side lives."""


class StartLife(_Record, tag=1, frozen=True, kw_only=True):
    """Make a worker as its order (`Order.encode`) says."""

    life: _Life
    worker: str
    order: bytes

    def __repr__(self) -> str:
        return f"<StartLife of {self.worker}>"


class CancelLife(_Record, tag=2, frozen=True, kw_only=True):
    """Forget a start, if nobody has begun with it: LifeCancelled then answers it."""

    life: _Life


class SignalLife(_Record, tag=3, frozen=True, kw_only=True):
    """Signal the worker's process."""

    life: _Life
    signum: int


class KillLife(_Record, tag=4, frozen=True, kw_only=True):
    """SIGKILL to the worker and its process group."""

    life: _Life


class StackOfLife(_Record, tag=5, frozen=True, kw_only=True):
    """Kill the worker, having it write its stack first."""

    life: _Life


class MeasureLife(_Record, tag=6, frozen=True, kw_only=True):
    """Answer with LifeMeasured."""

    life: _Life


class BuryLife(_Record, tag=7, frozen=True, kw_only=True):
    """All that a dead worker had sent is read: its connection may be closed."""

    life: _Life


class Acknowledge(_Record, tag=8, frozen=True, kw_only=True):
    """So many bytes of output, as records, are taken care of."""

    n: _Count


class EndAgent(_Record, tag=9, frozen=True, kw_only=True):
    """End everybody, answer with AgentEnded, and end."""


class LookAtLife(_Record, tag=10, frozen=True, kw_only=True):
    """Answer with LifeLooked: the worker's stack, which goes on."""

    life: _Life


class LifeStarted(_Record, tag=20, frozen=True, kw_only=True):
    """The worker's process exists."""

    life: _Life
    pid: _Pid


class LifeNotStarted(_Record, tag=21, frozen=True, kw_only=True):
    """It could not be made; `orphaned` says what was to make it, and is lost."""

    life: _Life
    failure: Failure
    orphaned: Orphaned | None = None


class LifeCancelled(_Record, tag=22, frozen=True, kw_only=True):
    """Nobody had begun with it, and nobody will."""

    life: _Life


class LifeDied(_Record, tag=23, frozen=True, kw_only=True):
    """It is dead, and its end of the channel is shut: what is on its way still comes."""

    life: _Life
    exit_code: _Code | None
    blame: Blame = Blame()
    failure: Failure | None = None
    orphaned: Orphaned | None = None
    service: Service = Service()


class LifeOverdue(_Record, tag=24, frozen=True, kw_only=True):
    """It is at one item for longer than its order allows."""

    life: _Life
    blame: Blame


class LifeUnstoppable(_Record, tag=25, frozen=True, kw_only=True):
    """A signal to it was refused."""

    life: _Life


class LifePrinted(_Record, tag=26, frozen=True, kw_only=True):
    """It has printed a line."""

    life: _Life
    line: OutputLine


class LifeLogged(_Record, tag=27, frozen=True, kw_only=True):
    """It has logged a record."""

    life: _Life
    record: Logged


class LifeDrew(_Record, tag=28, frozen=True, kw_only=True):
    """A line that it goes on drawing anew shows something else."""

    life: _Life
    progress: Progress


class LifeMeasured(_Record, tag=29, frozen=True, kw_only=True):
    """What it uses, by the agent's own clock."""

    life: _Life
    figures: Figures | None


class Cells(_Record, tag=30, frozen=True, kw_only=True):
    """What progress cells say that have changed, by life."""

    cells: dict[_Life, Blame]


class AgentWarned(_Record, tag=31, frozen=True, kw_only=True):
    """The agent itself has something to say."""

    warning: Warned


class AgentEnded(_Record, tag=32, frozen=True, kw_only=True):
    """Nobody is left but those that could not be killed."""

    survivors: tuple[Survivor, ...] = ()


class LifeLooked(_Record, tag=33, frozen=True, kw_only=True):
    """Where the worker is now."""

    life: _Life
    stack: WorkerStack


ToAgent: TypeAlias = (
    Beat
    | StartLife
    | CancelLife
    | SignalLife
    | KillLife
    | StackOfLife
    | LookAtLife
    | MeasureLife
    | BuryLife
    | Acknowledge
    | EndAgent
)
FromAgent: TypeAlias = (
    Beat
    | LifeStarted
    | LifeNotStarted
    | LifeCancelled
    | LifeDied
    | LifeOverdue
    | LifeUnstoppable
    | LifePrinted
    | LifeLogged
    | LifeDrew
    | LifeMeasured
    | LifeLooked
    | Cells
    | AgentWarned
    | AgentEnded
)

_encoder = msgspec.msgpack.Encoder()


def encode(record: ToAgent | FromAgent) -> bytes:
    """Return a record as it travels."""
    data = _encoder.encode(record)
    return _LENGTH.pack(len(data)) + data


class RecordReader(Generic[R]):
    """Cuts a byte stream into records, each with the bytes it took.

    None is longer than `most`. Memory is used as a record comes, not as it is announced.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[R], *, most: int) -> None:
        self._decoder = decoder
        self._most = most
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> list[tuple[R, int]]:
        """Return the records that are complete. Raises RecordError."""
        held = self._held
        held += data
        records: list[tuple[R, int]] = []
        at = 0
        with memoryview(held) as view:
            while len(held) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(view, at)
                if length > self._most:
                    raise RecordError(f"a record of {length} bytes")
                end = at + _LENGTH.size + length
                if end > len(held):
                    break
                records.append((self._decoded(view[at + _LENGTH.size : end]), end - at))
                at = end
        del held[:at]
        return records

    def _decoded(self, content: memoryview) -> R:
        try:
            return self._decoder.decode(content)
        except _UNREADABLE as error:
            raise RecordError(f"a record that is none: {error}") from error
        finally:
            content.release()


def from_agent() -> RecordReader[FromAgent]:
    """Called in the orchestrator. Return a reader of what one agent says."""
    decoder: msgspec.msgpack.Decoder[FromAgent] = msgspec.msgpack.Decoder(FromAgent)
    return RecordReader(decoder, most=MOST_FROM_AGENT)


def to_agent() -> RecordReader[ToAgent]:
    """Called in an agent. Return a reader of what the orchestrator says."""
    decoder: msgspec.msgpack.Decoder[ToAgent] = msgspec.msgpack.Decoder(ToAgent)
    return RecordReader(decoder, most=MOST_TO_AGENT)
