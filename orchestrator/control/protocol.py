"""Protocol of a run's control socket: greetings, requests, answers, and the frames they travel in.

Each side first sends its greeting, eight bytes with its version, and reads that of the other; where
the versions differ nothing else is understood. Then frames: four bytes of length, and a record in
MessagePack. The orchestrator greets with `Welcome` behind it, and answers requests in turn; what
takes time (`Stack`, items that are yet to pass) is answered when it is there. A request is answered
by its own kind of answer or by a `Refusal`.
"""

from __future__ import annotations

import struct
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from orchestrator.core.protocol.events import StopHow
from orchestrator.core.samples import Header, Sample
from orchestrator.core.stacks import ShownStack

__all__ = [
    "GREETING",
    "LARGEST_ITEM",
    "MOST_ITEMS",
    "SOCKET_NAME",
    "VERSION",
    "Answer",
    "AskItems",
    "AskPicture",
    "AskStacks",
    "AskStop",
    "FrameError",
    "Frames",
    "PassedItems",
    "Picture",
    "Refusal",
    "Request",
    "Stack",
    "Stopping",
    "Welcome",
    "answers",
    "encode",
    "requests",
    "version_of",
]

SOCKET_NAME: Final = "control.sock"
"""The socket's name in the run's directory."""

VERSION: Final = 1
_MAGIC: Final = b"mporch"
_GREETING = struct.Struct(">6sH")
GREETING: Final = _GREETING.pack(_MAGIC, VERSION)

_LENGTH = struct.Struct(">I")
_LARGEST_REQUEST: Final = 1 << 16
LARGEST_ITEM: Final = 16 << 20
"""Bytes of the largest chunk that is copied for a tap."""
_LARGEST_ANSWER: Final = LARGEST_ITEM + (1 << 20)
MOST_ITEMS: Final = 10_000
"""That a tap may ask for at a time."""


class FrameError(Exception):
    """What came is no frame of this protocol, or no record that may come."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all records; a field that is not known is passed over."""


# -- to the orchestrator --------------------------------------------------------------------------


class AskPicture(_Record, frozen=True, kw_only=True):
    """Show the run as it is at this moment. Answered by `Picture`."""


class AskStop(_Record, frozen=True, kw_only=True):
    """End the run. Answered by `Stopping`; its end is that of the connection, and the process."""

    how: StopHow = StopHow.DRAIN


class AskItems(_Record, frozen=True, kw_only=True):
    """Show the next so many items that come onto a queue, `n` at most `MOST_ITEMS`.

    Answered by any number of `PassedItems`; what comes when they are there is not shown unless it
    is asked for again. A new one takes the place of the one before.
    """

    queue: str
    n: int


class AskStacks(_Record, frozen=True, kw_only=True):
    """Where is each worker now, all or those of one job, or the one? Answered by `Stack`s."""

    who: str = ""


Request: TypeAlias = AskPicture | AskStop | AskItems | AskStacks


# -- to the client --------------------------------------------------------------------------------


class Welcome(_Record, frozen=True, kw_only=True):
    """The run: the header of its samples."""

    header: Header


class Picture(_Record, frozen=True, kw_only=True):
    """The run at its newest `sample`; rates and shares are those since the one `before`.

    `sentence` says what limits it, empty while nobody knows.
    """

    before: Sample
    sample: Sample
    sentence: str = ""


class Stopping(_Record, frozen=True, kw_only=True):
    """The run has heard it."""


class PassedItems(_Record, frozen=True, kw_only=True):
    """Items `start` to `stop` of a chunk have come onto a queue; the first has the number `first`.

    `packed`: each is a pickle in the pickled list that `blob` is, or in a block of it. `blob` is
    empty where its `size` is beyond `LARGEST_ITEM`, or could not be read.
    """

    queue: str
    first: int
    start: int
    stop: int
    packed: bool
    size: int
    blob: bytes


class Stack(_Record, frozen=True, kw_only=True):
    """One worker's stack, in the order in which they answer; so many more will come."""

    shown: ShownStack
    left: int


class Refusal(_Record, frozen=True, kw_only=True):
    """The last request cannot be done."""

    why: str
    hint: str = ""


Answer: TypeAlias = Welcome | Picture | Stopping | PassedItems | Stack | Refusal

R = TypeVar("R")

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


# -- frames ---------------------------------------------------------------------------------------


def encode(record: Request | Answer) -> bytes:
    """Return the record's frame."""
    body = _encoder.encode(record)
    return _LENGTH.pack(len(body)) + body


def version_of(greeting: bytes) -> int | None:
    """Return the version that eight bytes greet with; None if they are no greeting."""
    if len(greeting) != _GREETING.size:
        return None
    magic, version = _GREETING.unpack(greeting)
    return int(version) if magic == _MAGIC else None


class Frames(Generic[R]):
    """The records of one side out of bytes that come in pieces; `greeting` comes before them."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[R], largest: int) -> None:
        self.greeting: bytes | None = None
        self._decoder = decoder
        self._largest = largest
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[R]:
        """Take what has come; return what that completes.

        Of a side that greets with another version nothing is decoded. Raises FrameError.
        """
        held = self._bytes
        held += data
        if self.greeting is None:
            if not held.startswith(_MAGIC[: len(held)]):
                raise FrameError("no greeting")
            if len(held) < _GREETING.size:
                return []
            self.greeting = bytes(held[: _GREETING.size])
            del held[: _GREETING.size]
        if self.greeting != GREETING:
            held.clear()
            return []
        found: list[R] = []
        while (body := self._body()) is not None:
            try:
                found.append(self._decoder.decode(body))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise FrameError(str(error)) from error
        return found

    def _body(self) -> bytes | None:
        held = self._bytes
        if len(held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(held)
        if length > self._largest:
            raise FrameError(f"a frame of {length:,} bytes")
        end = _LENGTH.size + length
        if len(held) < end:
            return None
        body = bytes(held[_LENGTH.size : end])
        del held[:end]
        return body


def requests() -> Frames[Request]:
    """Return what reads a client's requests."""
    return Frames(_requests, _LARGEST_REQUEST)


def answers() -> Frames[Answer]:
    """Return what reads the orchestrator's answers."""
    return Frames(_answers, _LARGEST_ANSWER)
