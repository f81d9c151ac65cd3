"""Supervisors with one bug each, made by replacing one method; whole runs must catch each."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.core.broker.end_of_stream import QueueEnds
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.commands import StopReason
from orchestrator.core.protocol.events import Blame, ProcessStarted, StartFailed, WorkerDied
from orchestrator.core.protocol.messages import Closing
from orchestrator.core.supervisor.failures import Failures
from orchestrator.core.supervisor.model import Effects, Worker
from orchestrator.core.supervisor.shutdown import Shutdown, Stopper
from orchestrator.core.supervisor.transitions import State
from orchestrator.core.supervisor.workers import WorkerLifecycle

from .mutants import Mutant, Patch


def who_is_recycled_has_returned(patch: Patch) -> None:
    def has_returned(self: Worker) -> bool:
        closing = self.closing
        return closing is not None and not (closing.failure or closing.stopped)

    patch.setattr(Worker, "has_returned", property(has_returned))


def who_returns_when_told_to_stop_has_succeeded(patch: Patch) -> None:
    def was_told_to_stop(self: Worker) -> bool:
        return self.closing is not None and self.closing.stopped and not self.is_ours

    patch.setattr(Worker, "was_told_to_stop", property(was_told_to_stop))


def a_strangers_signal_is_counted_at_once(patch: Patch) -> None:
    patch.setattr(Worker, "was_told_to_stop", property(lambda self: False))


def what_is_held_is_not_woken_by_a_stop(patch: Patch) -> None:
    stop = Stopper.stop

    def deaf(self: Stopper, worker: Worker, reason: StopReason, effects: Effects) -> None:
        if worker.held is None:
            stop(self, worker, reason, effects)

    patch.setattr(Stopper, "stop", deaf)


def a_process_that_cannot_be_made_is_forgotten(patch: Patch) -> None:
    def start_failed(self: WorkerLifecycle, event: StartFailed, effects: Effects) -> None:
        self._model.worker(event.worker).unmade = event.failure

    patch.setattr(WorkerLifecycle, "start_failed", start_failed)


def a_process_that_comes_too_late_lives(patch: Patch) -> None:
    started = WorkerLifecycle.started

    def welcome(self: WorkerLifecycle, event: ProcessStarted, effects: Effects) -> None:
        if not self._model.worker(event.worker).abandoned:
            started(self, event, effects)

    patch.setattr(WorkerLifecycle, "started", welcome)


def that_a_worker_is_not_wanted_any_more_is_forgotten(patch: Patch) -> None:
    stop = Stopper.stop

    def lenient(self: Stopper, worker: Worker, reason: StopReason, effects: Effects) -> None:
        stop(self, worker, reason, effects)
        worker.unwanted = None

    patch.setattr(Stopper, "stop", lenient)


def a_daemon_that_reads_is_stopped_with_the_others(patch: Patch) -> None:
    dismiss = Shutdown.dismiss_daemons

    def hasty(self: Shutdown, effects: Effects) -> None:
        dismiss(self, effects)
        for worker in self._model.live_workers():
            self._stopper.stop(worker, StopReason.NOT_NEEDED, effects)

    patch.setattr(Shutdown, "dismiss_daemons", hasty)


def the_last_reader_alone_decides(patch: Patch) -> None:
    finished = QueueEnds.reader_finished

    def forgetful(self: QueueEnds, queue: QueueState, job: str, *, clean: bool) -> None:
        self._still_wanted.discard(queue)
        finished(self, queue, job, clean=clean)

    patch.setattr(QueueEnds, "reader_finished", forgetful)


def the_blame_of_the_stopped_is_told(patch: Patch) -> None:
    farewell = WorkerLifecycle._left_event

    def tell(worker: Worker, blame: Blame, *, replaced: bool) -> object:
        stop, worker.stop = worker.stop, None
        try:
            return farewell(worker, blame, replaced=replaced)
        finally:
            worker.stop = stop

    patch.setattr(WorkerLifecycle, "_left_event", staticmethod(tell))


def a_loss_is_charged_to_the_item_at_hand(patch: Patch) -> None:
    died = WorkerLifecycle.died

    def blaming(self: WorkerLifecycle, event: WorkerDied, effects: Effects) -> None:
        died(self, msgspec.structs.replace(event, orphaned=None), effects)

    patch.setattr(WorkerLifecycle, "died", blaming)


def a_loss_spends_the_restarts_of_the_job(patch: Patch) -> None:
    restart, possible = WorkerLifecycle._restart, WorkerLifecycle.may_be_replaced

    def spend(self: WorkerLifecycle, worker: Worker, blame: Blame, effects: Effects) -> None:
        worker.job.replaced += [effects.now] * (worker.orphaned is not None)
        restart(self, worker, blame, effects)

    def as_any_other(self: WorkerLifecycle, worker: Worker, now: float) -> bool:
        lost, worker.orphaned = worker.orphaned, None
        try:
            return possible(self, worker, now)
        finally:
            worker.orphaned = lost

    patch.setattr(WorkerLifecycle, "_restart", spend)
    patch.setattr(WorkerLifecycle, "may_be_replaced", as_any_other)


def a_death_is_a_success(patch: Patch) -> None:
    died = WorkerLifecycle.died

    def kind(self: WorkerLifecycle, event: WorkerDied, effects: Effects) -> None:
        worker = self._model.worker(event.worker)
        if worker.live and worker.verdict is None and event.exit_code == -11:
            worker.verdict = State.SUCCEEDED
        died(self, event, effects)

    patch.setattr(WorkerLifecycle, "died", kind)


def a_stopped_run_goes_on_replacing(patch: Patch) -> None:
    def is_recycled(self: WorkerLifecycle, worker: Worker) -> bool:
        return worker.recycled and not worker.job.failing

    patch.setattr(WorkerLifecycle, "_is_recycled", is_recycled)


def who_is_cut_off_has_succeeded(patch: Patch) -> None:
    def raised(self: Failures, worker: Worker, closing: Closing, effects: Effects) -> None:
        if closing.readers_failed:
            worker.verdict = worker.verdict or State.SUCCEEDED
        elif closing.failure is not None:
            self.fail(worker, closing.failure.kind, effects, failure=closing.failure)

    patch.setattr(Failures, "raised", raised)


def every() -> Iterator[tuple[str, Mutant]]:
    """Every mutant with its name."""
    for name, made in globals().items():
        if callable(made) and getattr(made, "__module__", "") == __name__ and made is not every:
            yield name, made
