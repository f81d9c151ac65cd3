"""Once every worker waits for another one: whether anything can move, or who waits for what.

Rule 14 of docs/semantics.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.board import Board
from orchestrator.core.queues import QueueState

__all__ = ["can_move", "waits"]


def can_move(board: Board) -> bool:
    """Whether a timer, an idle worker's credits or the rest of a lease will free somebody."""
    return board.something_is_timed or any(map(_is_fed, board.queues.values()))


def waits(board: Board) -> Iterator[tuple[str, str]]:
    """Yield who waits, and for what in words: workers, and jobs whose row waits for room.

    The workers of such a job wait for nothing else.
    """
    for port in board.ports.values():
        if port.stuck and not port.job.waits_for():
            yield port.worker, port.waits_for()
    for job in board.jobs.values():
        if what := job.waits_for():
            yield job.name, what


def _is_fed(queue: QueueState) -> bool:
    """Whether what is waited for here comes back by itself.

    Idle workers return their credits, and the untouched rest of a lease is recalled.
    """
    if queue.tickets and queue.granted:
        return True
    if not queue.pulls or len(queue.reader_ports) < 2:
        return False
    return any(
        lease.queue is queue and lease.untouched
        for port in queue.reader_ports.values()
        for lease in port.leases.values()
    )
