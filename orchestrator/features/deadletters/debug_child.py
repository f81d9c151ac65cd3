"""The process in which a target is called on the item of a dead letter.

Called in the child of a keeper: set up as a worker is, but for its standard streams and its queues.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from itertools import chain, repeat
from types import GeneratorType
from typing import Any, NoReturn

from orchestrator.core.protocol.messages import Leased, Range
from orchestrator.engine.node.child import enter_surroundings
from orchestrator.engine.node.keeper import answer_once
from orchestrator.errors import UnpicklableItemError, WrongDirectionError
from orchestrator.escaping import escaped
from orchestrator.features.deadletters.debug import Outcome, Trial
from orchestrator.files import open_regular
from orchestrator.plan.model import Command, JobPlan, Shape
from orchestrator.worker import current, target
from orchestrator.worker.chunks import ItemPickler
from orchestrator.worker.failure import describe, name_of, text_of, users_traceback
from orchestrator.worker.lease import Lease
from orchestrator.worker.process import apply_limits
from orchestrator.worker.target import items_of

__all__ = ["PrintedQueue", "main"]


def main(request: bytes, outcome_fd: int) -> int:
    """Make the call that is asked for; returns the exit code.

    The outcome goes to a file: an exit code alone would not tell.
    """
    trial = pickle.loads(request)
    assert isinstance(trial, Trial)
    order = trial.order
    enter_surroundings(order.worker, order.job.env, order.job.cwd, order.pythonpath)
    apply_limits(order.job.limits)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    current.enter(order)
    try:
        _call(trial)
    except BaseException as error:  # noqa: BLE001 -- whatever the target raised is told
        os.write(outcome_fd, Outcome.RAISED.value)
        _tell(error, order.job, (*order.pythonpath, order.project_dir), debug=trial.debug)
        return 1
    os.write(outcome_fd, Outcome.RETURNED.value)
    return 0


def _call(trial: Trial) -> None:
    """As a worker does for this item: load, construct, enter, unpickle, call, emit."""
    job = trial.order.job
    lease = _lease(trial)
    with target.Entered() as entered:
        found = target.load(job.target, ())
        handles = {name: PrintedQueue(queue, job) for name, queue in job.write_handles}
        call = target.bind(found, job, handles, entered)
        raw, packed = lease.take()
        current.at(lease)
        item = pickle.loads(raw) if packed else raw
        result = call([item] if job.shape is Shape.BATCH else item)
        emitted = items_of(result, job.shape, emits=bool(job.outputs))
        lazy = isinstance(result, GeneratorType)
        if not lazy:
            _say(f"returned {result!r}")
        for each in emitted:
            _check(each, f"job {job.name!r} gave back")
            if lazy:
                _say(f"yielded {each!r}")


def _lease(trial: Trial) -> Lease:
    """The item as a lease of one."""
    place = trial.place
    queue, _, number = trial.item.rpartition(":")
    with os.fdopen(open_regular(place.path, os.O_RDONLY), "rb") as file:
        blob = file.read()
    part = Range(
        start=place.index,
        stop=place.index + 1,
        first=int(number),
        size=len(blob),
        packed=place.packed,
    )
    tried = ((int(number), trial.attempts),)
    return Lease(Leased(pull=1, lease=1, queue=queue, ranges=(part,), tried=tried), (blob,))


def _say(text: str) -> None:
    sys.stdout.write(_harmless(text))
    sys.stdout.flush()


def _harmless(text: str, first: str = "") -> str:
    """Lines that nothing acts on in a terminal; all but the first, of which that is said, indented.

    So none of them can be taken for a line of mporch's own.
    """
    indents = chain((first,), repeat("  "))
    lines = text.splitlines() or [""]
    return "".join(
        f"{indent}{escaped(line)}\n" for indent, line in zip(indents, lines, strict=False)
    )


def _check(item: Any, who: str) -> None:
    """Raise as a worker does if the item could not be sent."""
    try:
        ItemPickler().dump(item)
    except Exception as error:
        kind = name_of(type(item))
        reason = text_of(error)
        raise UnpicklableItemError(f"{who} a {kind}, which cannot be pickled: {reason}") from error


class PrintedQueue:
    """In the place of a handle to write to: what is put on it is printed."""

    def __init__(self, name: str, job: JobPlan) -> None:
        self._name = name
        self._holder = f"job {job.name!r}"

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 -- as of a queue
        """Print the item; raises UnpicklableItemError."""
        _check(obj, f"{self._holder} put on {self._name!r}")
        _say(f"put on {self._name}: {obj!r}")

    def put_nowait(self, obj: Any) -> None:
        """`put`, which never waits."""
        self.put(obj)

    def get(self, block: bool = True, timeout: float | None = None) -> NoReturn:  # noqa: ARG002 -- as of a queue
        """Raise WrongDirectionError."""
        raise WrongDirectionError(f"{self._holder} only writes queue {self._name!r}")

    def qsize(self) -> int:
        """Nothing is kept."""
        return 0

    def empty(self) -> bool:
        """Nothing is kept."""
        return True

    def full(self) -> bool:
        """There is always room."""
        return False

    def close(self) -> None:
        """For compatibility, as the others below."""

    join_thread = cancel_join_thread = close


def _tell(error: BaseException, job: JobPlan, roots: tuple[str, ...], *, debug: bool) -> None:
    """Print the user's part of the traceback; with `debug` go to its end."""
    cause = error.__cause__ if isinstance(error, target.TargetFailedError) else None
    failure = describe(cause or error, roots)
    if isinstance(error, target.TargetFailedError) and cause is None:
        failure = error.failure
    place = f" ({failure.where})" if failure.where else ""
    at = "" if isinstance(job.target, Command) else f" in {job.target}{place}"
    text = failure.traceback or f"{failure.kind}: {failure.message}{at}\n"
    sys.stdout.flush()
    sys.stderr.write(_harmless(text, "  "))
    if debug:
        _enter_debugger(cause or error)


def _enter_debugger(error: BaseException) -> None:
    import pdb  # noqa: PLC0415, T100 -- asked for by --pdb

    if (theirs := users_traceback(error)) is None:
        sys.stderr.write("mporch: none of your code was running when this was raised\n")
    else:
        pdb.post_mortem(theirs)


if __name__ == "__main__":
    answer_once(main)
