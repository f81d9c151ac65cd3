"""Failures, and what follows from each for the worker, its job and the run."""

from __future__ import annotations

from orchestrator.core.commands import Disconnect, StopReason
from orchestrator.core.halt import Halt
from orchestrator.core.lifecycle import State
from orchestrator.core.messages import Closing, Failure
from orchestrator.core.policy import Level, Outcome, outcome
from orchestrator.core.roster import Worker
from orchestrator.core.stopping import Stopper
from orchestrator.core.turn import Turn
from orchestrator.core.wording import failed
from orchestrator.errors import ExitCode
from orchestrator.plan.model import FailurePolicy

__all__ = ["Failures"]

_MOST_SAID = 500
"""Characters of what was wrong: it may hold what the worker has sent."""


class Failures:
    """Fails workers and their jobs, and keeps what the run's outcome will be."""

    def __init__(self, halt: Halt, stopper: Stopper) -> None:
        self._halt = halt
        self._stopper = stopper
        self._reasons: dict[ExitCode, str] = {}

    def note(self, cause: ExitCode, reason: str) -> None:
        """The run will not be a success; the first reason for its exit code is the one to tell."""
        self._reasons.setdefault(cause, reason)

    def outcome(self) -> Outcome:
        """Return the run's outcome, as far as it is known."""
        return outcome(self._reasons)

    def fail(
        self, worker: Worker, reason: str, turn: Turn, *, failure: Failure | None = None
    ) -> None:
        """The worker has failed, and with it its job, though its process may still live."""
        worker.condemn(State.FAILED, reason, failure)
        self.fail_job(worker, reason, turn)

    def raised(self, worker: Worker, closing: Closing, turn: Turn) -> None:
        """Its last message says what its target raised: that fails it and its job.

        If that is only that its readers have failed, it was stopped: that is their failure, and
        the run goes on as `on_failure` of theirs says.
        """
        failure = closing.failure
        assert failure is not None
        reason = failed(failure)
        if closing.readers_failed:
            job, worker.job.cut = worker.job.name, True
            worker.condemn(State.TERMINATED, f"stopped: {reason}", failure)
            self.note(ExitCode.FAILED, f"job {job} was stopped: {reason}")
        else:
            self.fail(worker, reason, turn, failure=failure)

    def time_out(self, worker: Worker, reason: StopReason, text: str, turn: Turn) -> None:
        """The worker has passed a limit: it is stopped, and timed out whatever it says now."""
        worker.condemn(State.TIMED_OUT, text)
        self._stopper.stop(worker, reason, turn)
        self.fail_job(worker, text, turn)

    def breach(self, worker: Worker, detail: str, turn: Turn) -> None:
        """What the worker says cannot be trusted: it is cut off, then killed.

        That is its death like any other, unless it was ending already.
        """
        turn.order(Disconnect(worker=worker.name))
        if worker.killed:
            return
        worker.breach = detail[:_MOST_SAID]
        self._stopper.kill(worker, StopReason.PROTOCOL, turn)
        if worker.closing or worker.stop:
            self.fail(worker, f"broke the protocol: {worker.breach}", turn)

    def fail_job(self, worker: Worker, reason: str, turn: Turn) -> None:
        """End all workers of the job that `worker` has failed; `on_failure` says what follows."""
        job = worker.job
        if job.failing:
            return
        job.failing = True
        job.reason = f"{worker.name}: {reason}" if len(job.workers) > 1 else reason
        self.note(ExitCode.FAILED, f"job {job.name} failed: {job.reason}")
        for other in job.live_workers():
            self._stopper.stop(other, StopReason.FAILURE, turn)
        why = f"job {job.name} failed"
        if job.plan.on_failure is FailurePolicy.STOP:
            self._halt.raise_to(Level.STOP, StopReason.FAILURE, why, turn)
        elif job.plan.on_failure is FailurePolicy.DRAIN:
            self._halt.raise_to(Level.DRAIN, StopReason.FAILURE, why, turn)
