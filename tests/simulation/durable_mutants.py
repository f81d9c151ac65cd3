"""Durable runs with one bug each: in what is noted, what is kept, or what is restored."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from orchestrator.core.broker import setup as restoring
from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.chunks import Segment
from orchestrator.core.broker.clients import PendingPull, WorkerState
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.lease import FailedAttempt, LeaseState
from orchestrator.core.broker.leasing import Leasing, Returns
from orchestrator.core.broker.observers import Journal
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.redelivery import Redelivery
from orchestrator.core.broker.setup import Resumption, _Chunks
from orchestrator.core.broker.state import BrokerState
from orchestrator.core.durable.records import Fate, JournalEntry, Record
from orchestrator.core.durable.snapshot import (
    ChunkChange,
    ItemRange,
    SnapshotTracker,
    StoredQueue,
    StoredRun,
)
from orchestrator.core.protocol.events import JobFinished

from .mutants import Mutant, Patch

_NOTES = (
    "put",
    "spilt",
    "gave",
    "got",
    "progressed",
    "dealt",
    "returned",
    "finished",
    "ended",
    "tried",
    "job_done",
    "partially_emitted",
    "pending",
)


def _unnoted(name: str, patch: Patch) -> None:
    patch.setattr(Journal, name, lambda self, *args: None)


def a_step_noted_twice(patch: Patch) -> None:
    gave = Journal.gave

    def twice(self: Journal, job: str, n: int) -> None:
        gave(self, job, n)
        gave(self, job, n)

    patch.setattr(Journal, "gave", twice)


def what_a_failure_leaves_is_dropped(patch: Patch) -> None:
    def note(self: QueueState, segments: Iterable[Segment], *fate: Fate) -> None:
        whole = self.failed_downstream
        self.failed_downstream = False
        noted(self, segments, *fate)
        self.failed_downstream = whole

    noted = QueueState._note_dropped
    patch.setattr(QueueState, "_note_dropped", note)


def delayed_items_dropped_unnoted(patch: Patch) -> None:
    patch.setattr(BrokerState, "delayed", lambda self, queue: iter(()))


# -- what is kept ---------------------------------------------------------------------------------


def _rewound(patch: Patch, also: Any) -> None:
    rewind = SnapshotTracker.rewind

    def wrong(self: SnapshotTracker) -> list[int]:
        also(self.stored)
        return rewind(self)

    patch.setattr(SnapshotTracker, "rewind", wrong)


def a_rewind_keeps_what_was_done(patch: Patch) -> None:
    def forget(stored: StoredRun) -> None:
        for worker in stored.workers.values():
            worker.read = {}

    _rewound(patch, forget)


def a_rewind_loses_the_order(patch: Patch) -> None:
    def shuffle(stored: StoredRun) -> None:
        for worker in stored.workers.values():
            for parts in worker.dealt.values():
                parts.reverse()

    _rewound(patch, shuffle)


def a_rewind_forgets_what_was_still_to_come_again(patch: Patch) -> None:
    def forget(stored: StoredRun) -> None:
        for worker in stored.workers.values():
            worker.redelivered = {}

    _rewound(patch, forget)


def a_rewind_gives_up_what_was_dealt(patch: Patch) -> None:
    def give_up(stored: StoredRun) -> None:
        for worker in stored.workers.values():
            for name, parts in worker.dealt.items():
                for part in parts:
                    stored.queues[name].held.add(part)
            worker.dealt = {}

    _rewound(patch, give_up)


def what_comes_again_has_lost_its_turns(patch: Patch) -> None:
    patch.setattr(restoring, "_turns", lambda state, worker: iter(()))


def a_poll_is_answered_out_of_turn(patch: Patch) -> None:
    turn = Redelivery.turn
    patch.setattr(Redelivery, "turn", lambda self, queues, polls: turn(self, queues, polls=False))


def several_items_of_a_turn_lie_in_the_worker(patch: Patch) -> None:
    structs = SimpleNamespace(replace=lambda request, **_: request)
    patch.setattr("orchestrator.core.broker.leasing.msgspec", SimpleNamespace(structs=structs))


def what_is_given_back_has_lost_its_turn(patch: Patch) -> None:
    patch.setattr(Redelivery, "give_back", lambda self, queue, n: None)


def what_is_given_back_of_the_own_items_is_anybodys(patch: Patch) -> None:
    give_back = Returns._give_back

    def loose(
        self: Returns, client: WorkerState, lease: LeaseState, segments: list[Segment]
    ) -> None:
        lease.redelivered = False
        give_back(self, client, lease, segments)

    patch.setattr(Returns, "_give_back", loose)


def ends_are_not_told_where_they_were(patch: Patch) -> None:
    got = Journal.got

    def forgetful(self: Journal, client: WorkerState, queue: str, n: int) -> None:
        if n:
            got(self, client, queue, n)

    patch.setattr(Journal, "got", forgetful)


def an_end_is_told_though_its_turn_has_not_come(patch: Patch) -> None:
    repeat = Leasing._repeat

    def hasty(self: Leasing, pending: PendingPull, redelivery: Redelivery) -> bool:
        if all(queue.ended for queue in pending.queues):
            self.tell_end(pending)
            return True
        return repeat(self, pending, redelivery)

    patch.setattr(Leasing, "_repeat", hasty)


def a_chunk_dropped_too_early(patch: Patch) -> None:
    def use(self: SnapshotTracker, chunk: int, n: int) -> None:
        if chunk and n < 0 and self._uses[chunk] + n <= 1:
            self._emptied[chunk] = None
            del self._uses[chunk]
        elif chunk:
            self._uses[chunk] += n

    patch.setattr(SnapshotTracker, "_use", use)


def a_chunk_never_dropped(patch: Patch) -> None:
    apply = SnapshotTracker.apply
    patch.setattr(
        SnapshotTracker, "apply", lambda self, entry: replace(apply(self, entry), dropped=())
    )


def a_chunk_without_uses_within_an_entry_is_dropped(patch: Patch) -> None:
    apply, use = SnapshotTracker.apply, SnapshotTracker._use
    gone: set[int] = set()

    def note(self: SnapshotTracker, chunk: int, n: int) -> None:
        use(self, chunk, n)
        if chunk not in self._uses:
            gone.add(chunk)

    def wrong(self: SnapshotTracker, entry: JournalEntry) -> ChunkChange:
        gone.clear()
        change = apply(self, entry)
        return replace(change, new=tuple(new for new in change.new if new.number not in gone))

    patch.setattr(SnapshotTracker, "_use", note)
    patch.setattr(SnapshotTracker, "apply", wrong)


def a_tail_is_no_use_of_a_chunk(patch: Patch) -> None:
    use = SnapshotTracker._use

    def forgetful(self: SnapshotTracker, chunk: int, n: int) -> None:
        if n != 1 or chunk in self._uses:
            use(self, chunk, n)

    patch.setattr(SnapshotTracker, "_use", forgetful)


def ranges_put_together_across_ids(patch: Patch) -> None:
    patch.setattr("orchestrator.core.durable.snapshot._follows", lambda before, part: True)


def a_cut_range_keeps_its_first_id(patch: Patch) -> None:
    def cut(self: ItemRange, start: int, stop: int) -> ItemRange:
        return ItemRange(self.chunk, start, stop, self.first)

    patch.setattr(ItemRange, "cut", cut)


# -- how a job ends -------------------------------------------------------------------------------


def _job_finished(patch: Patch, wrong: Callable[[JobFinished], JobFinished]) -> None:
    finished = Broker._job_finished
    patch.setattr(Broker, "_job_finished", lambda self, event: finished(self, wrong(event)))


def done_while_stopping(patch: Patch) -> None:
    _job_finished(patch, lambda event: replace(event, final=event.clean))


def queues_closed_though_the_run_can_be_resumed(patch: Patch) -> None:
    _job_finished(patch, lambda event: replace(event, clean=event.clean or event.awaited))


def nothing_waits_for_a_resume(patch: Patch) -> None:
    _job_finished(
        patch, lambda event: replace(event, awaited=False, clean=event.clean or event.awaited)
    )


def the_own_items_of_the_dead_are_anybodys(patch: Patch) -> None:
    whole = Returns.abandon

    def abandon(self: Returns, client: WorkerState, *args: Any) -> list[FailedAttempt]:
        charged = whole(self, client, *args)
        for queue in client.job.reads:
            queue.release_reserved(client.worker)
        return charged

    patch.setattr(Returns, "abandon", abandon)


def the_own_items_of_a_failed_job_are_anybodys(patch: Patch) -> None:
    def leave_own(self: QueueState, job: str, workers: Iterable[str]) -> None:
        for worker in workers:
            self.release_reserved(worker)

    patch.setattr(QueueState, "leave_own", leave_own)


def what_a_dead_source_will_put_again_is_put(patch: Patch) -> None:
    leave = Admission.leave

    def by_item_only(self: Admission, client: WorkerState) -> None:
        if client.job.by_item:
            leave(self, client)

    patch.setattr(Admission, "leave", by_item_only)


# -- what is restored -----------------------------------------------------------------------------


def chunks_numbered_from_the_start_again(patch: Patch) -> None:
    init = Journal.__init__
    patch.setattr(Journal, "__init__", lambda self, first_chunk=1: init(self))


def ids_given_anew(patch: Patch) -> None:
    segments = _Chunks.segments

    def renumbered(self: _Chunks, parts: Iterable[ItemRange]) -> list[Segment]:
        found = segments(self, parts)
        for at, part in enumerate(found):
            part.first = 1 + sum(map(len, found[:at]))
        return found

    patch.setattr(_Chunks, "segments", renumbered)


def restored_in_the_order_of_chunks(patch: Patch) -> None:
    fill = restoring._fill

    def unsorted(queue: QueueState, held: StoredQueue, chunks: _Chunks) -> None:
        fill(queue, held, chunks)
        queue.segments = deque(sorted(queue.segments, key=lambda part: -part.chunk.number))

    patch.setattr(restoring, "_fill", unsorted)


def _restored(patch: Patch, also: Any) -> None:
    restore = restoring.restore

    def wrong(state: BrokerState, resumption: Resumption) -> None:
        restore(state, resumption)
        also(state)

    patch.setattr("orchestrator.core.broker.broker.restore", wrong)


def positions_forgotten(patch: Patch) -> None:
    _restored(patch, lambda state: state.positions.clear())


def the_tail_forgotten(patch: Patch) -> None:
    def forget(state: BrokerState) -> None:
        for positions in state.positions.values():
            for box, at in positions.items():
                positions[box] = OutputProgress(at.n, at.digest)

    _restored(patch, forget)


def attempts_forgotten(patch: Patch) -> None:
    def forget(state: BrokerState) -> None:
        for queue in state.queues.values():
            queue.attempts = {}

    _restored(patch, forget)


def own_items_forgotten(patch: Patch) -> None:
    def forget(state: BrokerState) -> None:
        for queue in state.queues.values():
            for line in queue.own.reserved.values():
                queue.done += sum(map(len, line))
            queue.own.reserved = {}

    _restored(patch, forget)


def an_item_that_is_out_in_part_is_tried_again(patch: Patch) -> None:
    patch.setattr(restoring, "_one", lambda segments, number: None)


def what_comes_again_is_recalled(patch: Patch) -> None:
    lease = Leasing._lease

    def loose(self: Leasing, *args: Any, **_: bool) -> LeaseState:
        return lease(self, *args)

    patch.setattr(Leasing, "_lease", loose)


def a_done_job_still_writes(patch: Patch) -> None:
    patch.setattr(restoring, "_finish", lambda state, name: None)


def what_is_packed_forgotten(patch: Patch) -> None:
    init = _Chunks.__init__

    def forgetful(self: _Chunks, resumption: Resumption) -> None:
        init(self, Resumption(stored=resumption.stored, load=resumption.load))

    patch.setattr(_Chunks, "__init__", forgetful)


def steps_out_of_order(patch: Patch) -> None:
    take = Journal.take

    def reversed_steps(self: Journal) -> Any:
        self._steps.sort(key=_kind)
        return take(self)

    patch.setattr(Journal, "take", reversed_steps)


def _kind(step: Record) -> str:
    return type(step).__name__


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name in _NOTES:
        yield f"{name}_unnoted", functools.partial(_unnoted, name)
    for name, made in globals().items():
        own = callable(made) and getattr(made, "__module__", "") == __name__
        if own and not name.startswith("_") and made is not every:
            yield name, made
