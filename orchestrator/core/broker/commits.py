"""Admission of commits: applied item by item, the rest is parked in fair order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.clients import (
    CommitWaiter,
    CreditWaiter,
    OrderedWaiter,
    Waiter,
    WorkerState,
)
from orchestrator.core.broker.credits import Credits
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.ordered import Buffer, OrderedCommits
from orchestrator.core.broker.outcomes import Outcomes
from orchestrator.core.broker.outputs import PendingOutput, most_of_one, room_for
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.room import RoomForOutputs
from orchestrator.core.broker.state import BrokerState, ProtocolError
from orchestrator.core.protocol.events import AnyBlob, PlacedBlob
from orchestrator.core.protocol.messages import Commit, CommitStatus, Committed, End

__all__ = ["Admission"]

_MOST_WORK: Final = 1 << 24
"""Outputs times items of one commit; what is parked is looked at item by item."""


class Admission:
    """Applies commits, or parks what of them does not fit."""

    def __init__(
        self, state: BrokerState, room: RoomForOutputs, credits_: Credits, outcomes: Outcomes
    ) -> None:
        self._state = state
        self._room = room
        self._credits = credits_
        self._outcomes = outcomes
        self._ordering = OrderedCommits(state, room, outcomes)

    # -- commits ----------------------------------------------------------------------------------

    def commit(self, client: WorkerState, request: Commit, blobs: tuple[AnyBlob, ...]) -> None:
        """Apply a commit as far as it fits; park the rest.

        A repeated one gets the same answer.
        """
        if request.seq == client.last_seq and client.parked is not None:
            return
        if request.seq == client.last_seq and client.last_answer is not None:
            self._state.send(client, client.last_answer)
            return
        if request.seq != client.last_seq + 1:
            raise ProtocolError(f"commit {request.seq} after {client.last_seq}")
        if client.parked is not None:
            raise ProtocolError(f"commit {request.seq} while {client.last_seq} is parked")
        leases = self._held(client, request)
        if leases is None:
            client.last_seq = request.seq
            self._answer(client, request.seq, CommitStatus.REFUSED)
            return
        items = leases[0][1] if len(leases) == 1 else sum([n for _, n in leases])
        parts = self._parts(client, request, blobs, items)
        got = self._got(client, request) if request.got else []
        # A commit takes one of three ways from here. Each makes its last checks before it changes
        # anything: what does not fit is refused whole, and the worker is cut off.
        # 1. Of a job that keeps the order: all of it is taken over, with no regard to room. Its
        #    items wait for their turn in the reorder buffer, and the worker does not.
        if client.job.reorder is not None:
            self._hold(client, request, leases, parts)
            return
        totals = room_for(parts)
        # 2. Covered by credits, and all went well: most commits. Room for it was promised, so it
        #    overtakes nobody, and neither bounds nor lines are looked at, nor is a waiter made.
        if not (request.marks or request.returned) and _are_covered(client, totals):
            client.last_seq = request.seq
            if got:
                self._note_got(client, got)
            self._apply(client, request, leases, parts, totals)
            if client.job.by_item:
                self._note_open(client, parts, items)
            return
        # 3. Any other: what fits is applied at once, item by item, and the rest is parked.
        _check_bounds(totals, parts, items)
        _check_marks(request, items)
        if request.returned:
            self._credits.give_back(client, request.returned)
        # Without an answer, as of now: if the commit comes again while it is parked, it has none.
        client.last_seq, client.last_answer = request.seq, None
        self._note_got(client, got)
        waiter = CommitWaiter(self._state.number(), client, request, leases, parts)
        if not self._advance(waiter):
            client.parked = waiter
            client.job.parked += 1
            # Its items belong to it from now on: should the worker die, they are done none the less
            # once the rest finds room, and must not be given to anybody else.
            waiter.claim()
            self._credits.void(client)  # who waits holds nothing that others wait for
            self._state.begin_wait(client, for_output=True)

    def _got(self, client: WorkerState, request: Commit) -> list[tuple[QueueState, int]]:
        """Return what the target has got of each queue; ProtocolError if that does not fit."""
        got = [(self._state.queue(name), n) for name, n in request.got]
        for queue, _ in got:
            if queue not in client.job.reads:
                raise ProtocolError(f"{client.job.name} does not read {queue.name}")
        return got

    def _note_got(self, client: WorkerState, got: Iterable[tuple[QueueState, int]]) -> None:
        """Note in which order a target gets items of several queues, for it to get them so again.

        An end is one for good only if nobody who writes the queue will be called again.
        """
        if client.job.by_item:
            return
        for journal in self._state.journals:
            for queue, n in got:
                writers = [job for job in self._state.jobs.values() if queue in job.writes]
                if n or all(job.final for job in writers):
                    journal.got(client, queue.name, n)

    def _hold(
        self,
        client: WorkerState,
        request: Commit,
        leases: list[tuple[LeaseState, int]],
        parts: list[PendingOutput],
    ) -> None:
        """Take in a commit of a job that keeps the order of its input."""
        _check_marks(request, sum([n for _, n in leases]))
        self._ordering.check(request, leases, parts)
        self._credits.give_back(client, request.returned)
        client.last_seq = request.seq
        self._ordering.hold(client, request, leases, parts)
        self._answer(client, request.seq, CommitStatus.APPLIED, awaited=request.awaited)

    def release(self, reorder: Buffer) -> None:
        """Put what an ordered job has finished and what has its turn."""
        self._ordering.release(reorder)

    def leave(self, client: WorkerState) -> None:
        """The worker is gone: what it had finished stays parked, what its open item gave goes.

        Somebody else will do that item anew.
        """
        waiter = client.parked
        if waiter is None:
            return
        # What a target has put that is called once, nobody will put again: that stays, and is put
        # when there is room. But a source whose outputs are counted is called again, and goes on
        # after what is put already.
        if not client.job.by_item and (waiter.items or not client.job.counted):
            return
        for part in waiter.parts:
            if client.job.by_item:
                part.cut_open(waiter.items)
            else:
                part.cut()
            for journal in self._state.journals:
                journal.pending(part)
        if waiter.at < waiter.items:
            return
        for queue in waiter.queues:
            self._state.dirty[queue] = None
        self._unpark(waiter)
        self._state.end_wait(client)

    def _unpark(self, waiter: CommitWaiter) -> None:
        """A parked commit is over: it leaves every line, and its worker goes on."""
        self._state.lines.leave(waiter)
        waiter.client.parked = None
        waiter.client.job.parked -= 1

    def refuse(self, waiter: CommitWaiter) -> None:
        """The rest of a parked commit is not applied any more: its items are not finished.

        What of it was applied stays so.
        """
        client, lacks = waiter.client, waiter.lacks
        assert lacks is not None
        seq = waiter.request.seq
        self._state.send(client, Committed(seq=seq, status=CommitStatus.FULL, full=lacks.name))
        for queue in waiter.queues:
            self._state.dirty[queue] = None
        self._unpark(waiter)
        waiter.undo()
        for journal in self._state.journals:
            for part in waiter.parts:
                journal.pending(part)

    def _apply(
        self,
        client: WorkerState,
        request: Commit,
        leases: list[tuple[LeaseState, int]],
        parts: list[PendingOutput],
        queues: Iterable[QueueState],
    ) -> None:
        """Apply a covered commit of items that all went well."""
        for part in parts:
            self._room.put(client, part, part.n)
        for lease, n in leases:
            self._outcomes.finish_leased(client, lease, n)
        held = tuple([(queue.name, client.credits[queue.name]) for queue in queues])
        self._answer(client, request.seq, CommitStatus.APPLIED, held, awaited=request.awaited)
        for queue in queues:
            if not queue.closed:
                self._credits.refill(client, queue)

    def _held(self, client: WorkerState, request: Commit) -> list[tuple[LeaseState, int]] | None:
        held: list[tuple[LeaseState, int]] = []
        for number, n in request.finished:
            lease = client.leases.get(number)
            if lease is None or not 0 <= n <= lease.remaining:
                return None
            held.append((lease, n))
        if len(held) > 1:
            taken: Counter[LeaseState] = Counter()
            for lease, n in held:
                taken[lease] += n
            if any(n > lease.remaining for lease, n in taken.items()):
                return None
        return held

    def _parts(
        self, client: WorkerState, request: Commit, blobs: tuple[AnyBlob, ...], items: int
    ) -> list[PendingOutput]:
        if len(blobs) != len(request.outputs):
            raise ProtocolError(f"{len(request.outputs)} outputs and {len(blobs)} chunks")
        if len(blobs) * items > _MOST_WORK:
            raise ProtocolError(f"{len(blobs)} outputs of {items} items in one commit")
        parts: list[PendingOutput] = []
        writes = client.job.writes
        for output, blob in zip(request.outputs, blobs, strict=True):
            queues = tuple([self._state.queue(name) for name in output.queues])
            if not queues or (len(queues) > 1 and len(set(queues)) < len(queues)):
                raise ProtocolError("an output for no queue, or twice for the same")
            for queue in queues:
                if queue not in writes:
                    raise ProtocolError(f"{client.job.name} does not write {queue.name}")
            counts = output.counts
            if counts is None:
                fits = output.n == items
            else:
                fits = (
                    len(counts) in (items, items + 1)
                    and sum(counts) == output.n
                    and min(counts, default=0) >= 0
                )
            if not fits or not 1 <= output.n <= len(blob):  # no pickle of an item is shorter
                raise ProtocolError(f"counts of an output of {output.n} items, {items} finished")
            if output.placed is not isinstance(blob, PlacedBlob):
                raise ProtocolError("a place of a chunk where there is no arena")
            chunk = Chunk(blob, packed=output.packed, items=output.n, crc=output.crc)
            parts.append(PendingOutput(queues, chunk, output.n, counts, digests=output.digests))
        return parts

    def _advance(self, waiter: CommitWaiter) -> bool:
        """Apply what fits; True when the whole commit is applied and answered."""
        # The whole first: mostly there is room for all, and that costs least. Once something of it
        # is applied it goes on item by item, and then with what the open item has given, which
        # belongs to no finished item and may leave in parts.
        if waiter.at == 0 and self._room.put_whole(waiter, self._room.put):
            self._outcomes.finish(waiter, waiter.items)
        elif not (self._advance_items(waiter) and self._advance_open(waiter)):
            return False
        self._state.lines.leave(waiter)
        client = waiter.client
        if client.job.by_item:
            self._note_open(client, waiter.parts, waiter.items)
        # The reply comes last, after all that it speaks of. It tells the worker its credits: of a
        # parked commit all, as they were voided when it was parked.
        totals = room_for(waiter.parts)
        names = dict.fromkeys(queue.name for queue in totals)
        if client.parked is waiter:
            names |= dict.fromkeys(client.credits)
        held = tuple((name, client.credits.get(name, 0)) for name in names)
        request = waiter.request
        self._answer(client, request.seq, CommitStatus.APPLIED, held, awaited=request.awaited)
        for queue in totals:
            if client.alive and not client.fenced and not queue.closed:
                self._credits.refill(client, queue)
        return True

    def _advance_items(self, waiter: CommitWaiter) -> bool:
        """Put and finish its next items as far as there is room, whole items only (rule 2)."""
        room = self._room
        while waiter.at < waiter.items:
            n = room.fitting(waiter) or int(room.has_room(waiter, waiter.needs()))
            if not n:
                return False
            room.put_items(waiter, n, room.put)
            self._outcomes.finish(waiter, n)
            waiter.lacks = None
        return True

    def _advance_open(self, waiter: CommitWaiter) -> bool:
        """Put what its open item has given, output by output: all of it may never fit (rule 3)."""
        room = self._room
        for part in waiter.open_parts():
            while part.used < part.n:
                if not room.put_some(waiter, part, part.n - part.used, room.put):
                    return False
                waiter.lacks = None
                self._note_open(waiter.client, waiter.parts, waiter.items)
        return True

    def _note_open(self, client: WorkerState, parts: list[PendingOutput], items: int) -> None:
        """Keep what the open item has given in part: it cannot be tried again (rule 3)."""
        for part in parts:  # asked for each commit: no generator
            if part.counts is not None and part.of_item(items):
                break
        else:
            return
        for lease in client.leases.values():
            if client.job.by_item and not lease.partially_emitted:
                for journal in self._state.journals:
                    journal.partially_emitted(lease, client.job.name)
            lease.partially_emitted = True

    def _answer(
        self,
        client: WorkerState,
        seq: int,
        status: CommitStatus,
        credits: tuple[tuple[str, int], ...] = (),  # noqa: A002 - the message's own word
        *,
        awaited: bool = True,
    ) -> None:
        client.last_answer = Committed(seq=seq, status=status, credits=credits)
        if awaited or status is not CommitStatus.APPLIED:
            self._state.send(client, client.last_answer)

    # -- the line moves ---------------------------------------------------------------------------

    def admit(self, queue: QueueState) -> None:
        """Let waiters go on while there is room for the first in line."""
        lines = self._state.lines
        while line := lines.of(queue):
            waiter = line[0]
            others = waiter.queues
            if not lines.is_first_everywhere(waiter) or not self._move(waiter):
                return
            for other in others:
                self._state.dirty[other] = None

    def _move(self, waiter: Waiter) -> bool:
        """Serve the first waiter; whether it left the line it stood at the head of."""
        before = waiter.queues
        if isinstance(waiter, OrderedWaiter):
            self._ordering.go_on(waiter)
            return waiter.queues != before
        if isinstance(waiter, CommitWaiter):
            if self._advance(waiter):
                waiter.client.parked = None
                waiter.client.job.parked -= 1
                self._state.end_wait(waiter.client)
            return waiter.queues != before
        assert isinstance(waiter, CreditWaiter)
        return self._credits.serve(waiter)


def _check_marks(request: Commit, items: int) -> None:
    if any(mark.end is End.DONE or not 0 <= mark.at < items for mark in request.marks):
        raise ProtocolError(f"marks of other items than the {items} finished")


def _are_covered(client: WorkerState, totals: Mapping[QueueState, int]) -> bool:
    """True if credits cover every output, and so bounds do: most commits need no waiter."""
    for queue, total in totals.items():  # noqa: SIM110 - asked for each commit: no generator
        if client.credits.get(queue.name, 0) < total:
            return False
    return True


def _check_bounds(totals: Mapping[QueueState, int], parts: list[PendingOutput], items: int) -> None:
    """No finished item may need more room than a queue has: it would wait for ever."""
    for queue, total in totals.items():
        if total > queue.bound and not queue.closed:
            most = most_of_one([part for part in parts if queue in part.queues], items)
            if most > queue.bound:
                raise ProtocolError(f"{most} outputs of one item for {queue.name}, in one part")
