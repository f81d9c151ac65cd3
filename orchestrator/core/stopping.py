"""Stopping one worker: its signal, its grace, SIGKILL, and giving up on what cannot die.

Nothing here goes back a step or starts a grace anew, however often and for whatever reason a
worker is asked to stop.
"""

from __future__ import annotations

from orchestrator.core.commands import AT_WORK, Disconnect, KillWorker, SignalWorker, StopReason
from orchestrator.core.deadlines import Deadlines, Timer
from orchestrator.core.facts import SignalSent, Warned
from orchestrator.core.lifecycle import Step
from orchestrator.core.policy import exit_limit_s
from orchestrator.core.roster import Worker
from orchestrator.core.turn import Turn
from orchestrator.core.wording import signal_name

__all__ = ["Stopper"]

_SIGKILL = 9

_PATIENT = frozenset({StopReason.FAILURE, StopReason.STALLED, StopReason.NOT_NEEDED})
"""Reasons that leave a process alone that has sent its last message: it has its own limit."""


class Stopper:
    """Stops workers, one step at a time, each from its own limits."""

    def __init__(self, deadlines: Deadlines, *, give_up_s: float) -> None:
        self._deadlines = deadlines
        self._give_up_s = give_up_s

    def stop(self, worker: Worker, reason: StopReason, turn: Turn) -> None:
        """Send the stop signal, unless the worker has had it; SIGKILL follows after its grace."""
        if worker.gone:
            self._wake(worker, reason, turn)
            return
        if not worker.live or worker.stop or worker.killed:
            return
        if worker.closing and (worker.hurried or reason in _PATIENT):
            worker.unwanted = worker.unwanted or reason
            return
        worker.advance(Step.DRAIN)
        worker.stop = reason
        self._order(worker, turn)

    def kill(self, worker: Worker, reason: StopReason, turn: Turn) -> None:
        """Send SIGKILL to its process group, unless that was done."""
        if worker.gone:
            self._wake(worker, reason, turn)
            return
        if not worker.live or worker.killed:
            return
        if reason not in AT_WORK:
            worker.advance(Step.DRAIN)
        worker.killed = reason
        self._order(worker, turn)

    def _order(self, worker: Worker, turn: Turn) -> None:
        """Send what the worker is to have, and limit the time until it is gone.

        Without a process nothing runs there: it is given up once all that is known is handled.
        """
        self._deadlines.cancel(worker.name)
        if worker.pid is None:
            self._deadlines.set(worker.name, Timer.GIVE_UP, turn.now)
            return
        timer, limit_s, step = Timer.GRACE, worker.job.plan.terminate.grace_s, "grace"
        if worker.killed:
            timer, limit_s, step = Timer.GIVE_UP, self._give_up_s, "kill"
        self._deadlines.set(worker.name, timer, turn.now + limit_s)
        turn.await_end(worker, step, limit_s)
        self._deliver(worker, turn)

    def _wake(self, worker: Worker, reason: StopReason, turn: Turn) -> None:
        """There is no process to stop: the wait is over at once, and so is the worker's life."""
        if worker.stop:
            return
        worker.advance(Step.DRAIN)
        worker.stop = reason
        self._deadlines.set(worker.name, Timer.REST if worker.resting else Timer.HOLD, turn.now)

    def started(self, worker: Worker, turn: Turn) -> None:
        """Send what the worker was to have in the moment before its process existed."""
        if worker.killed or worker.stop:
            self._order(worker, turn)

    def hurry(self, worker: Worker, turn: Turn) -> None:
        """Stop a worker whose process did not exit in time after its last message."""
        exit_s = exit_limit_s(worker.job.plan.terminate)
        turn.report(
            Warned(
                message=f"{worker.name} has finished, but did not exit within {exit_s:g} s",
                hint="a thread that is no daemon, a child process that Python waits for, or an "
                "atexit function keeps it alive",
                job=worker.job.name,
                worker=worker.name,
            )
        )
        worker.hurried = True
        grace_s = worker.job.plan.terminate.grace_s
        self._deadlines.set(worker.name, Timer.GRACE, turn.now + grace_s)
        turn.await_end(worker, "grace", grace_s)
        self._deliver(worker, turn)

    def abandon(self, worker: Worker, turn: Turn, *, refused: bool = False) -> None:
        """Fence a process that SIGKILL did not end in time; from now on it counts as dead.

        One that is not there yet is killed if it ever is. `refused`: it may not be signalled at
        all, so that no time is of any use.
        """
        worker.abandoned = True
        if refused and worker.stop:
            worker.killed = worker.killed or worker.stop
        turn.order(Disconnect(worker=worker.name))
        if worker.pid is None and worker.killed is not StopReason.START_TIMEOUT:
            return  # nobody has waited for it for longer than is usual
        message = f"{worker.name} still exists {self._give_up_s:g} s after SIGKILL"
        hint = (
            f"its process {worker.pid} hangs in the kernel (state D): look at its disk"
            " or network mount; the run goes on without it"
        )
        if worker.pid is None:
            message = f"{worker.name} is not to be, and its process is still being made"
            hint = "its forkserver does not answer: was it stopped, or is the machine overloaded?"
        elif refused:
            message = f"{worker.name} can neither be stopped nor killed: operation not permitted"
            hint = (
                f"its process {worker.pid} belongs to another user, since it has executed a setuid"
                " program: end it yourself; the run goes on without it"
            )
        turn.report(Warned(message=message, hint=hint, job=worker.job.name, worker=worker.name))

    def _deliver(self, worker: Worker, turn: Turn) -> None:
        """Send the signal of the step the worker is at, once it has a process."""
        reason = worker.killed or worker.stop or (StopReason.LINGERED if worker.hurried else None)
        if worker.pid is None or reason is None:
            return
        number = _SIGKILL if worker.killed else worker.job.plan.terminate.signal
        if worker.killed:
            turn.order(KillWorker(worker=worker.name, reason=reason))
        else:
            turn.order(SignalWorker(worker=worker.name, signal=number, reason=reason))
        turn.report(
            SignalSent(
                job=worker.job.name,
                worker=worker.name,
                pid=worker.pid,
                signal=signal_name(number),
                reason=reason.value,
            )
        )
