"""Makes the frames: from noise to messages in which everything but their sense is right."""

from __future__ import annotations

import random
import struct
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core.protocol.messages import (
    Ask,
    Closing,
    Commit,
    End,
    Failure,
    FromWorker,
    Hello,
    JoinQueue,
    Mark,
    Output,
    Pull,
    Ready,
    Released,
    SourceTotal,
    TaskDone,
    Unpull,
    Unwant,
    Wait,
    Want,
    Worn,
)
from orchestrator.ipc import wire
from orchestrator.plan.model import JobPlan

HEADER = struct.Struct("<4sIQI")
_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    255,
    4096,
    2**31,
    2**32 - 1,
    2**61,
    2**62,
    2**63,
    2**64 - 1,
    -1,
    -(2**63),
)
_FLOATS = (0.0, 0.2, -1.0, 1e308, float("inf"), float("-inf"), float("nan"))
_KEPT = 32
_P_THEFT = 0.1
_P_CHECKS = 0.9
_P_CLOSING = 0.01
"""Rare: the last message of the last hostile worker ends the run's use for us."""


class Forger:
    """Knows its job, the names of all queues, what its worker was given, and what others were."""

    def __init__(self, rng: random.Random, queues: Sequence[str], job: JobPlan) -> None:
        self._rng = rng
        self._reads, self._writes = job.reads or job.writes, job.writes or job.reads
        own = (*self._reads, *self._writes)
        self._queues = (*queues, *own * 8, "", "nowhere", "q" * 300, "\x1b[2J")
        self._sent: deque[bytes] = deque(maxlen=_KEPT)
        self.own_leases: list[tuple[int, int]] = []
        self.others_leases: deque[int] = deque(maxlen=_KEPT)
        self.seq = 0
        self._kinds: dict[str, Callable[[], bytes]] = {
            "noise": self._noise,
            "header": self._header,
            "length": self._length,
            "checksum": self._checksum,
            "torn": self._torn,
            "no message": self._no_message,
            "mutated": self._mutated,
            "bomb": self._bomb,
            "body": self._body,
            "lie": self._lie,
            "near truth": self._near_truth,
            "replay": self._replay,
        }
        self._weights = (1, 1, 1, 1, 1, 1, 4, 2, 1, 12, 8, 2)

    def begin_anew(self) -> None:
        """A new process of the worker: nothing is leased, and its commits count from 1."""
        self.own_leases.clear()
        self.seq = 0

    def forge(self) -> tuple[str, bytes]:
        """A frame, and of which kind it is."""
        (kind,) = self._rng.choices(list(self._kinds), self._weights)
        frame = self._kinds[kind]()
        self._sent.append(frame)
        return kind, frame

    # -- bytes ------------------------------------------------------------------------------------

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(1, 200))

    def _header(self) -> bytes:
        frame = bytearray(self._valid())
        frame[self._rng.randrange(HEADER.size)] ^= 1 << self._rng.randrange(8)
        return bytes(frame)

    def _length(self) -> bytes:
        head, body = self._rng.choice(
            ((2**32 - 1, 0), (17 << 20, 1), (5, 2**32), (5, 2**63), (40, 3 << 30), (0, 0), (0, 9))
        )
        content = self._rng.randbytes(self._rng.randint(0, 300))
        crc = zlib.crc32(content, body & 0xFFFFFFFF)
        return HEADER.pack(b"MP\x02\x00", head, body, crc) + content

    def _checksum(self) -> bytes:
        frame = bytearray(self._valid())
        frame[self._rng.randrange(HEADER.size, len(frame))] ^= 1 << self._rng.randrange(8)
        return bytes(frame)

    def _torn(self) -> bytes:
        frame = self._valid()
        return frame[: self._rng.randrange(1, len(frame))]

    def _no_message(self) -> bytes:
        return framed(self._rng.randbytes(self._rng.randint(0, 60)))

    def _mutated(self) -> bytes:
        frame = self._valid()
        content = bytearray(frame[HEADER.size :])
        for _ in range(self._rng.randint(1, 4)):
            at = self._rng.randrange(len(content) + 1)
            if self._rng.random() < 0.3:
                content[at:at] = self._rng.randbytes(self._rng.randint(1, 5))
            elif at < len(content):
                content[at] = self._rng.randrange(256)
        _, _, body, _ = HEADER.unpack_from(frame)
        head = max(0, len(content) - body)
        return framed(bytes(content[:head]), bytes(content[head:]))

    def _bomb(self) -> bytes:
        many = struct.pack(">I", self._rng.choice((2**20, 2**28, 2**32 - 1)))
        bombs = (
            b"\x92\x02" + b"\x91" * self._rng.choice((100, 2_000, 60_000)) + b"\xc0",
            b"\x93\x07\x01\xdd" + many,
            b"\x94\x07\x01\x90\xdd" + many,
            b"\x92\x02\xdf" + many,
            b"\x94\x03\x01\xdd" + many,
            b"\x94\x03\x01\x91\xdb" + many,
            b"\x92\x02\xc9" + many + b"\x05",
            b"\x94\x03\x01\x91\xa2\xff\xfe\x01",
            b"\xdd" + many,
        )
        return framed(self._rng.choice(bombs))

    def _body(self) -> bytes:
        head = msgspec.msgpack.encode(self._message())
        return framed(head, self._rng.randbytes(self._rng.randint(1, 100)))

    def _replay(self) -> bytes:
        return self._rng.choice(self._sent) if self._sent else self._valid()

    def _valid(self) -> bytes:
        return self._near_truth() if self._rng.random() < 0.5 else self._lie()

    def _lie(self) -> bytes:
        return self._filled(self._message())

    # -- messages ---------------------------------------------------------------------------------

    def _number(self) -> int:
        if self._rng.random() < 0.6:
            return self._rng.randrange(6)
        return self._rng.choice(_NUMBERS)

    def _lease(self) -> int:
        pool = [number for number, _ in self.own_leases[-4:]] * 3 + list(self.others_leases)[-4:]
        return self._rng.choice(pool) if pool and self._rng.random() < 0.8 else self._number()

    def _some(self, make: Callable[[], Any], most: int = 3) -> tuple[Any, ...]:
        return tuple(make() for _ in range(self._rng.randint(0, most)))

    def _queue(self) -> str:
        return self._rng.choice(self._queues)

    def _text(self) -> str:
        return self._rng.choice(("", "x", "\x1b]0;\x07", "x" * 100, "\u202e", "x" * 200_000))

    def _failure(self) -> Failure:
        return Failure(
            kind=self._text(),
            message=self._text(),
            traceback=self._text(),
            bases=self._some(self._text),
            where=self._text(),
        )

    def _output(self) -> Output:
        return Output(
            queues=self._some(self._queue, 2),
            n=self._number(),
            size=self._rng.choice((0, 1, 8, 64, 200)),
            packed=self._rng.random() < 0.5,
            counts=None if self._rng.random() < 0.3 else self._some(self._number),
        )

    def _commit(self) -> Commit:
        seq = self.seq + 1 if self._rng.random() < 0.8 else self._number()
        return Commit(
            seq=seq,
            finished=self._some(lambda: (self._lease(), self._number())),
            marks=self._some(
                lambda: Mark(
                    at=self._number(), end=self._rng.choice(list(End)), failure=self._failure()
                ),
                1,
            ),
            outputs=self._some(self._output, 2),
            returned=self._some(lambda: (self._queue(), self._number()), 1),
            awaited=self._rng.random() < 0.5,
        )

    def _message(self) -> FromWorker:
        rng, number, queue = self._rng, self._number, self._queue
        wait = rng.choice(list(Wait))
        if rng.random() < _P_CLOSING:
            return self._closing()
        made: FromWorker = rng.choice(
            (
                lambda: Hello(pid=number(), protocol=number()),
                Ready,
                lambda: Pull(
                    pull=number(),
                    queues=self._some(queue),
                    most=number(),
                    least=number(),
                    within_s=rng.choice(_FLOATS),
                    wait=wait,
                    commit=self._commit() if rng.random() < 0.3 else None,
                ),
                lambda: Unpull(pull=number()),
                lambda: Want(
                    want=number(),
                    queue=queue(),
                    unsent=rng.choice((None, number())),
                    n=number(),
                    least=number(),
                    wait=wait,
                ),
                lambda: Unwant(want=number()),
                self._commit,
                self._commit,
                lambda: Released(lease=self._lease(), kept=number()),
                lambda: SourceTotal(total=number()),
                lambda: Ask(ask=number(), queue=queue()),
                lambda: TaskDone(ask=number(), queue=queue(), n=number()),
                lambda: JoinQueue(ask=number(), queue=queue(), wait=wait),
            )
        )()
        return made

    def _closing(self) -> Closing:
        return Closing(
            failure=self._failure() if self._rng.random() < 0.5 else None,
            stopped=self._rng.random() < 0.5,
            recycled=Worn.ITEMS if self._rng.random() < 0.9 else None,
            stack=self._text(),
        )

    def _near_truth(self) -> bytes:
        """What an honest worker might send, or almost: it gets far."""
        return self._filled(self._true_message())

    def _filled(self, message: FromWorker) -> bytes:
        """The message's frame, with chunks and their checksums; of the latter some are wrong."""
        commit = message.commit if isinstance(message, Pull) else message
        if not isinstance(commit, Commit):
            return b"".join(map(bytes, wire.encode(message)))
        blobs = tuple(self._rng.randbytes(min(200, max(0, part.size))) for part in commit.outputs)
        outputs = tuple(
            replace(part, crc=zlib.crc32(blob) if self._rng.random() < _P_CHECKS else 1)
            for part, blob in zip(commit.outputs, blobs, strict=True)
        )
        commit = replace(commit, outputs=outputs)
        message = replace(message, commit=commit) if isinstance(message, Pull) else commit
        return b"".join(map(bytes, wire.encode(message, blobs)))

    def _true_message(self) -> FromWorker:
        rng, n = self._rng, self._rng.randint(1, 12)
        number, wait = rng.randrange(1, 1 << 40), rng.choice(list(Wait))
        reads, writes = rng.choice(self._reads), rng.choice(self._writes)
        kind = rng.randrange(8)
        if kind < 3:
            return Pull(pull=number, queues=(reads,), most=n, wait=wait)
        if kind < 4:
            least, unsent = rng.randint(1, n), rng.choice((None, 0, n))
            return Want(
                want=number,
                queue=writes,
                unsent=unsent,
                n=n,
                least=least,
                wait=wait,
            )
        if kind < 5:
            return rng.choice(
                (
                    Released(lease=self._lease(), kept=n),
                    TaskDone(ask=number, queue=reads),
                    JoinQueue(ask=number, queue=writes, wait=wait),
                    Ask(ask=number, queue=reads),
                )
            )
        return self._true_commit(writes)

    def _true_commit(self, queue: str) -> Commit:
        rng = self._rng
        finished = tuple((lease, rng.randint(0, left)) for lease, left in self.own_leases[-3:])
        if self.others_leases and rng.random() < _P_THEFT:
            finished = ((rng.choice(self.others_leases), rng.randint(1, 4)),)
        items = sum(count for _, count in finished)
        counts = tuple(rng.randint(0, 3) for _ in range(items + rng.randint(0, 1)))
        total = sum(counts)
        output = Output(queues=(queue,), n=total, size=total * 8, packed=False, counts=counts)
        return Commit(
            seq=self.seq + 1,
            finished=finished,
            outputs=(output,) if total else (),
            awaited=rng.random() < 0.5,
        )


def framed(head: bytes, body: bytes = b"") -> bytes:
    """A frame whose header is right, whatever is in it."""
    return (
        HEADER.pack(b"MP\x02\x00", len(head), len(body), zlib.crc32(head, len(body))) + head + body
    )
