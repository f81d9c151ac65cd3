"""Arenas of a run: the shared memory of its producers, which its readers are handed to read.

Called in the orchestrator. A chunk that lies in an arena is a `PlacedChunk` here; the broker, the
store and the letters keep it as any other. Its place is free once nobody has it any more: when its
items have ended everywhere. A reader takes a copy of an item before it begins with it, so who has
told that an item has ended has let go of its place, and of whoever has died nothing is heard.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence

import msgspec

from orchestrator.core.protocol.events import AnyBlob, Blob, PlacedBlob
from orchestrator.core.protocol.messages import (
    ArenaGone,
    Commit,
    Freed,
    FromWorker,
    Leased,
    Pull,
    Range,
    Released,
    ToWorker,
)
from orchestrator.core.protocol.notifications import Warned
from orchestrator.engine.engine import Malformed, Received
from orchestrator.ipc import arena
from orchestrator.ipc.arena import Handover, Stub
from orchestrator.ipc.order import Order
from orchestrator.machine.cgroups import read_allowance

__all__ = ["RunArenas"]

_MOST = (1 << 30) + 4096
"""The largest item, and what its chunk has around it (`worker.chunks.MOST_BYTES`)."""
Give = Callable[[str, Handover], bool]
Send = Callable[[str, ToWorker, tuple[Blob, ...]], None]


class _Arena:
    """The arena of one life of a worker."""

    def __init__(self, number: int, owner: str, size: int) -> None:
        self.number = number
        self.owner = owner
        self.size = size
        self.alive = True
        self.chunks = 0
        """So many chunks in it are needed yet."""
        self.freed: list[int] = []
        self.readers: set[str] = set()
        """Workers that were given it."""
        self.blind: set[str] = set()
        """Those of them that cannot read it all the same."""
        self._write_fd = arena.make(size)
        try:
            self._fd = os.open(f"/proc/self/fd/{self._write_fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._write_fd)
            raise

    def give(self, give: Give) -> bool:
        """Give it to its owner, who alone can write to it; whether that could be."""
        try:
            return give(self.owner, self._handover(self._write_fd, own=True))
        finally:
            os.close(self._write_fd)

    def give_to(self, reader: str, give: Give) -> bool:
        """Give it to a worker that reads it."""
        return give(reader, self._handover(self._fd, own=False))

    def _handover(self, fd: int, *, own: bool) -> Handover:
        return Handover(self.number, self.size, own, self.owner, fd)

    def read(self, offset: int, size: int) -> bytes:
        """Read some of it. Raises OSError."""
        parts: list[bytes] = []
        while size:
            part = os.pread(self._fd, size, offset)
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Nobody needs anything of it any more."""
        fd, self._fd = self._fd, -1
        os.close(fd)


class PlacedChunk(PlacedBlob):
    """A chunk that lies in an arena; while somebody has this its place is not used again."""

    __slots__ = ("_arenas", "arena", "stub")

    def __init__(self, arenas: RunArenas, arena: _Arena, stub: Stub) -> None:
        self._arenas = arenas
        self.arena = arena
        self.stub = stub
        arena.chunks += 1

    def __len__(self) -> int:
        return self.stub.size

    def read(self) -> bytes:
        """Return a copy of it."""
        return self.arena.read(self.stub.offset, self.stub.size)

    def __del__(self) -> None:
        self._arenas.freed(self.arena, self.stub.offset)


class RunArenas:
    """The arenas of all workers, by the life of each.

    `give` hands one to a worker, `send` queues a message for it. There may be two for each worker
    that there has been at a time: its own, and that of one before it (`kernel.limits`).
    """

    def __init__(self, give: Give, send: Send) -> None:
        self._give = give
        self._send = send
        self._peak = 0
        """The most workers with an arena at a time."""
        self._size = _memory_bytes()
        self._numbers = 0
        self._refused = False
        self._warning: Warned | None = None
        self._own: dict[str, _Arena] = {}
        self._readers: set[str] = set()
        self._changed: dict[int, _Arena] = {}
        self._all: set[_Arena] = set()

    def started(self, worker: str, order: Order) -> None:
        """The worker is there: it is given an arena if it puts what can lie there."""
        job = order.job
        if order.limited:
            return
        if job.reads:
            self._readers.add(worker)
        if not job.writes or order.counted:
            return
        if len(self._all) - len(self._own) > self._peak:
            return  # those of the dead have all descriptors that were reckoned for them
        self._numbers += 1
        try:
            made = _Arena(self._numbers, worker, self._size)
        except OSError as error:
            self._refuse(str(error))
            return
        if made.give(self._give):
            self._own[worker] = made
            self._all.add(made)
            self._peak = max(self._peak, len(self._own))
        else:
            made.close()

    def take_warning(self) -> Warned | None:
        """Return why a worker has no arena, once a run; None almost always."""
        warning, self._warning = self._warning, None
        return warning

    def _refuse(self, why: str) -> None:
        if not self._refused:
            self._refused = True
            self._warning = Warned(
                message="large items go through the orchestrator, which takes longer: shared"
                f" memory: {why}"
            )

    def died(self, worker: str) -> None:
        """Nothing is heard of it any more; what it has put is there until nobody needs it."""
        self._readers.discard(worker)
        for each in self._all:
            each.readers.discard(worker)
            each.blind.discard(worker)
        if (own := self._own.pop(worker, None)) is not None:
            own.alive = False
            self._changed[own.number] = own

    def find(self, said: Received) -> list[Received | Malformed]:
        """Return what a worker has said with its chunks, wherever they are."""
        frames: list[tuple[FromWorker, tuple[AnyBlob, ...]]] | None = None
        for index, (message, blobs) in enumerate(said.frames):
            if not blobs:
                if type(message) is Released and message.unseen:
                    self._unseen(said.worker, message.unseen)
                continue
            commit = message.commit if isinstance(message, Pull) else message
            assert isinstance(commit, Commit)
            if not any(output.placed for output in commit.outputs):
                continue
            found = self._found(said.worker, commit, blobs)
            if frames is None:
                frames = list(said.frames)
            if found is None:
                detail = "announces a chunk outside of its arena"
                known = Received(worker=said.worker, frames=frames[:index])
                return [known, Malformed(worker=said.worker, detail=detail)]
            frames[index] = (message, found)
        return [said if frames is None else Received(worker=said.worker, frames=frames)]

    def _unseen(self, worker: str, number: int) -> None:
        """A reader could not take the arena; it keeps what it may have, until that is gone."""
        for each in self._all:
            if each.number == number and worker in each.readers:
                each.blind.add(worker)

    def _found(
        self, worker: str, commit: Commit, blobs: Sequence[AnyBlob]
    ) -> tuple[AnyBlob, ...] | None:
        own = self._own.get(worker)
        found: list[AnyBlob] = []
        for output, blob in zip(commit.outputs, blobs, strict=True):
            if not output.placed:
                found.append(blob)
                continue
            stub = None if isinstance(blob, PlacedBlob) else Stub.decode(blob)
            if own is None or stub is None or stub.arena != own.number:
                return None
            if not 0 < stub.size <= _MOST or stub.offset + stub.size > own.size:
                return None
            found.append(PlacedChunk(self, own, stub))
        return tuple(found)

    def addressed(
        self, worker: str, message: Leased, blobs: Sequence[AnyBlob]
    ) -> tuple[Leased, tuple[Blob, ...]]:
        """Return a lease with the places of its chunks, or with the chunks where it must be so."""
        ranges: list[Range] = []
        sent: list[Blob] = []
        for part, blob in zip(message.ranges, blobs, strict=True):
            if isinstance(blob, PlacedChunk) and self._may_read(worker, blob.arena):
                stub = blob.stub.encode()
                ranges.append(_with(part, stub, placed=True))
                sent.append(stub)
            elif isinstance(blob, PlacedBlob):
                sent.append(blob.read())
                ranges.append(_with(part, sent[-1], placed=False))
            else:
                ranges.append(part)
                sent.append(blob)
        return msgspec.structs.replace(message, ranges=tuple(ranges)), tuple(sent)

    def _may_read(self, worker: str, arena: _Arena) -> bool:
        """Give a reader the arena, unless it has it."""
        if worker not in arena.readers:
            if worker not in self._readers or not arena.give_to(worker, self._give):
                return False
            arena.readers.add(worker)
        return worker not in arena.blind

    def freed(self, arena: _Arena, offset: int) -> None:
        """Nobody needs a chunk any more."""
        arena.chunks -= 1
        arena.freed.append(offset)
        self._changed[arena.number] = arena

    def tell(self) -> None:
        """Queue what workers are to be told of it."""
        while self._changed:
            _, each = self._changed.popitem()
            freed, each.freed = each.freed, []
            if each.alive:
                self._send(each.owner, Freed(offsets=tuple(freed)), ())
            elif not each.chunks and each in self._all:
                for reader in each.readers:
                    self._send(reader, ArenaGone(arena=each.number), ())
                self._all.discard(each)
                each.close()

    def close(self) -> None:
        """The run is over."""
        for each in self._all:
            each.close()
        self._all.clear()


def _with(part: Range, data: Blob, *, placed: bool) -> Range:
    crc = zlib.crc32(data)
    return msgspec.structs.replace(part, size=len(data), crc=crc, placed=placed)


def _memory_bytes() -> int:
    """Return what all processes of the run together may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = read_allowance().memory_bytes
    return physical if allowed is None else min(physical, allowed)
