"""Failures, and what follows from each for the worker, its job and the run."""

from __future__ import annotations

from orchestrator.core.protocol.commands import Disconnect, StopReason
from orchestrator.core.protocol.messages import Closing, Failure
from orchestrator.core.reasons import failed
from orchestrator.core.supervisor.model import Effects, Worker
from orchestrator.core.supervisor.policy import RunOutcome, StopLevel, outcome
from orchestrator.core.supervisor.shutdown import Shutdown, Stopper
from orchestrator.core.supervisor.transitions import State
from orchestrator.errors import ExitCode
from orchestrator.plan.model import FailurePolicy

__all__ = ["Failures"]

_MOST_SAID = 500
"""Characters of what was wrong: it may hold what the worker has sent."""


class Failures:
    """Fails workers and their jobs, and keeps what the run's outcome will be."""

    def __init__(self, shutdown: Shutdown, stopper: Stopper) -> None:
        self._shutdown = shutdown
        self._stopper = stopper
        self._reasons: dict[ExitCode, str] = {}

    def note(self, cause: ExitCode, reason: str) -> None:
        """The run will not be a success; the first reason for its exit code is the one to tell."""
        self._reasons.setdefault(cause, reason)

    def outcome(self) -> RunOutcome:
        """Return the run's outcome, as far as it is known."""
        return outcome(self._reasons)

    def fail(
        self, worker: Worker, reason: str, effects: Effects, *, failure: Failure | None = None
    ) -> None:
        """The worker has failed, and with it its job, though its process may still live."""
        worker.set_verdict(State.FAILED, reason, failure)
        self.fail_job(worker, reason, effects)

    def raised(self, worker: Worker, closing: Closing, effects: Effects) -> None:
        """Its last message says what its target raised: that fails it and its job.

        If that is only that its readers have failed, it was stopped: that is their failure, and
        the run goes on as `on_failure` of theirs says.
        """
        failure = closing.failure
        assert failure is not None
        reason = failed(failure)
        if closing.readers_failed:
            job, worker.job.cut = worker.job.name, True
            worker.set_verdict(State.TERMINATED, f"stopped: {reason}", failure)
            self.note(ExitCode.FAILED, f"job {job} was stopped: {reason}")
        else:
            self.fail(worker, reason, effects, failure=failure)

    def time_out(self, worker: Worker, reason: StopReason, text: str, effects: Effects) -> None:
        """The worker has passed a limit: it is stopped, and timed out whatever it says now."""
        worker.set_verdict(State.TIMED_OUT, text)
        self._stopper.stop(worker, reason, effects)
        self.fail_job(worker, text, effects)

    def breach(self, worker: Worker, detail: str, effects: Effects) -> None:
        """Cut off, then kill, a worker that breaks the protocol: it cannot be trusted.

        That is its death like any other, unless it was ending already.
        """
        effects.order(Disconnect(worker=worker.name))
        if worker.killed:
            return
        worker.breach = detail[:_MOST_SAID]
        self._stopper.kill(worker, StopReason.PROTOCOL, effects)
        if worker.closing or worker.stop:
            self.fail(worker, f"broke the protocol: {worker.breach}", effects)

    def fail_job(self, worker: Worker, reason: str, effects: Effects) -> None:
        """End all workers of the job that `worker` has failed; `on_failure` says what follows."""
        job = worker.job
        if job.failing:
            return
        job.failing = True
        job.reason = f"{worker.name}: {reason}" if len(job.workers) > 1 else reason
        self.note(ExitCode.FAILED, f"job {job.name} failed: {job.reason}")
        for other in job.live_workers():
            self._stopper.stop(other, StopReason.FAILURE, effects)
        why = f"job {job.name} failed"
        if job.plan.on_failure is FailurePolicy.STOP:
            self._shutdown.raise_to(StopLevel.STOP, StopReason.FAILURE, why, effects)
        elif job.plan.on_failure is FailurePolicy.DRAIN:
            self._shutdown.raise_to(StopLevel.DRAIN, StopReason.FAILURE, why, effects)
