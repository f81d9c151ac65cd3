"""Whether anything can still move once every worker waits for another one (rule 14)."""

from __future__ import annotations

from orchestrator.core.board import Board
from orchestrator.core.queues import QueueState

__all__ = ["can_move"]


def can_move(board: Board) -> bool:
    """Whether a timer, an idle worker's credits or the rest of a lease will free somebody."""
    return board.something_is_timed or any(map(_is_fed, board.queues.values()))


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
