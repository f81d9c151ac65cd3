"""Once every worker waits for another one: whether anything can move, or who waits for what.

Rule 14 of docs/semantics.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import BrokerState

__all__ = ["can_move", "waits"]


def can_move(state: BrokerState) -> bool:
    """True if a timer, an idle worker's credits or the rest of a lease will free somebody."""
    return state.something_is_timed or any(map(_is_fed, state.queues.values()))


def waits(state: BrokerState) -> Iterator[tuple[str, str]]:
    """Yield who waits, and for what in words: workers, and jobs whose next outputs wait for room.

    The workers of such a job wait for nothing else.
    """
    for client in state.clients.values():
        if client.stuck and not client.job.waits_for():
            yield client.worker, client.waits_for()
    for job in state.jobs.values():
        if what := job.waits_for():
            yield job.name, what


def _is_fed(queue: QueueState) -> bool:
    """True if what is waited for here comes back by itself.

    Idle workers return their credits, and the untouched rest of a lease is recalled.
    """
    if queue.waiters and queue.granted:
        return True
    if not queue.pulls or len(queue.reader_clients) < 2:
        return False
    return any(
        lease.queue is queue and lease.untouched
        for client in queue.reader_clients.values()
        for lease in client.leases.values()
    )
