"""Kill-points: where in its protocol a worker can be made to die. For tests; nothing unless asked.

Called in the child. With `MPORCH_TEST=1`, `MPORCH_FAULT=point[:nth][:action][:bytes]` makes each
worker that has it in its environment signal itself when it comes to the point for the nth time
(first). The action is a signal's name (`kill`, `stop`, `segv`, …). A `torn` frame ends after so
many bytes, at most all but the last (half). `MPORCH_FAULT=@PATH` asks whoever listens at a socket
for the order of this one process, and says when the point is reached.

The points: `w.<message>_before`, `_torn` and `_sent` for each message to the broker, and
`w.<message>_received` for each from it. A pull that carries a commit is at both's points;
`w.commit_acked` is the answer to either. `w.item_begun` and `w.item_ended` are around the target.
Of a chunk in an arena: `w.place_written` is in the midst of its writing, `w.place_before`, `_torn`
and `_sent` are at the commit that announces it, `w.place_read` is before a reader copies it, and
`w.place_freed` when its producer has taken note that its place is free again.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import FromWorker, ToWorker
from orchestrator.ipc.arena import Stub
from orchestrator.worker.arenas import LaidChunk, OwnArena, Placed, WorkerArenas

__all__ = ["PLACE", "POINTS", "FaultError", "FaultyArenas", "InjectedFault", "name_of", "ordered"]

T = TypeVar("T")

PLACE = "place"
"""A message with this name, too, announces that a chunk lies in an arena."""

_ORDER_BYTES = 256


def name_of(kind: type) -> str:
    """The name of a message in a point."""
    return kind.__name__.lower()


POINTS = frozenset(
    {"w.item_begun", "w.item_ended", "w.commit_acked"}
    | {f"w.{PLACE}_{at}" for at in ("written", "read", "freed")}
    | {
        f"w.{name}_{at}"
        for name in (PLACE, *map(name_of, get_args(FromWorker)))
        for at in ("before", "torn", "sent")
    }
    | {f"w.{name_of(kind)}_received" for kind in get_args(ToWorker)}
)


class FaultError(Exception):
    """What was asked for is no fault."""


def ordered(worker: str, environ: Mapping[str, str]) -> InjectedFault | None:
    """The fault that is asked for; None almost always.

    Raises FaultError when the order makes no sense, OSError when nobody listens at the socket.
    """
    order = environ.get("MPORCH_FAULT", "")
    if environ.get("MPORCH_TEST") != "1" or not order.startswith(("w.", "@")):
        return None
    if not order.startswith("@"):
        return InjectedFault(order)
    teller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    teller.connect(order[1:])
    teller.send(worker.encode())
    order = teller.recv(_ORDER_BYTES).decode()
    return InjectedFault(order, tell=teller.send) if order else None


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an order, in the order in which they are written."""

    point: str
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1
    action: str = "kill"
    bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None


class InjectedFault:
    """What happens to this process, and where.

    `tell` gets the point's name before. Raises FaultError for an order that makes no sense.
    """

    def __init__(self, text: str, *, tell: Callable[[bytes], object] = lambda _: None) -> None:
        fields = zip(_Order.__struct_fields__, text.split(":"), strict=False)
        try:
            order = msgspec.convert(dict(fields), _Order, strict=False)
            self._signal = signal.Signals[f"SIG{order.action.upper()}"]
        except (msgspec.ValidationError, KeyError) as error:
            raise FaultError(f"{text!r} is not point[:nth][:action][:bytes]: {error}") from error
        if order.point not in POINTS:
            raise FaultError(f"{order.point!r} is none of {', '.join(sorted(POINTS))}")
        self.point, self._left, self._bytes = order.point, order.nth, order.bytes
        self._tell = tell

    def meets(self, *points: str) -> bool:
        """True if this is the place and the time."""
        if self.point not in points:
            return False
        self._left -= 1
        return self._left == 0

    def strike(self) -> None:
        """Do it, in this thread: a signal to the process may reach it a while later."""
        self._tell(self.point.encode())
        signal.pthread_kill(threading.get_ident(), self._signal)

    def reached(self, *points: str) -> None:
        """The process is at these points."""
        if self.meets(*points):
            self.strike()

    def cut(self, frame: bytes) -> bytes:
        """The torn frame: not nothing, and not all of it."""
        size = len(frame) // 2 if self._bytes is None else self._bytes
        return frame[: max(1, min(size, len(frame) - 1))]

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The target with a point before and after it."""

        def called(*args: Any) -> Any:
            self.reached("w.item_begun")
            result = call(*args)
            if isinstance(result, GeneratorType):
                return self._to_the_end(result)
            self.reached("w.item_ended")
            return result

        return called

    def _to_the_end(self, items: Iterator[Any]) -> Iterator[Any]:
        yield from items
        self.reached("w.item_ended")


class FaultyArenas(WorkerArenas):
    """Arenas with kill-points: a worker dies at a place that is written, read or freed."""

    def __init__(self, sock: socket.socket, fault: InjectedFault, *, limited: str = "") -> None:
        super().__init__(sock, limited=limited)
        self._fault = fault

    def placed(self, data: Blob) -> Placed:
        """See WorkerArenas."""
        found, stub = super().placed(data), Stub.decode(data)
        assert stub is not None
        return _FaultyPlaced(found.view, stub, found.owner, self._fault)

    def freed(self, offsets: Iterable[int]) -> None:
        """See WorkerArenas."""
        super().freed(offsets)
        self._fault.reached(f"w.{PLACE}_freed")

    def _write(self, own: OwnArena, parts: Iterable[Blob], size: int) -> LaidChunk | None:
        return super()._write(own, self._halved(parts), size)

    def _halved(self, parts: Iterable[Blob]) -> Iterator[Blob]:
        """The parts of a chunk, and a point in the midst of each."""
        for part in parts:
            middle = len(part) // 2
            yield part[:middle]
            self._fault.reached(f"w.{PLACE}_written")
            yield part[middle:]


class _FaultyPlaced(Placed):
    def __init__(self, view: Blob | None, stub: Stub, owner: str, fault: InjectedFault) -> None:
        super().__init__(view, stub, owner)
        self._fault = fault

    def load(self, read: Callable[[Blob], T]) -> T:
        """See Placed."""

        def met(chunk: Blob) -> T:
            self._fault.reached(f"w.{PLACE}_read")
            return read(chunk)

        return super().load(met)
