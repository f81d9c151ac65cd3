"""Errors with which a worker gives up at once, without a closing message. Called in the child."""

from __future__ import annotations

__all__ = ["FencedError", "InconsistentError", "LinkClosedError", "NoRoomError"]


class LinkClosedError(Exception):
    """The broker's end of the socket is gone: the run is over for this worker."""


class FencedError(Exception):
    """The broker has refused a commit: this worker was given up and its items belong to others."""


class NoRoomError(FencedError):
    """A queue had no room in time for what was put: that fails the job, whatever the target does.

    What found no room is undone: its items are back in their queue.
    """

    def __init__(self, queue: str) -> None:
        super().__init__(f"the queue {queue} was full")
        self.queue = queue


class InconsistentError(FencedError):
    """An exception from outside has left the worker's books half done: nobody knows what it holds.

    A RecursionError, a MemoryError or a signal handler of the target came into the midst of a `put`
    or `get`, and the target went on. What was not committed is done again by another process.
    """

    def __init__(self) -> None:
        super().__init__(
            "an exception that did not come from mporch (a RecursionError, a MemoryError, or that"
            " of a signal handler) came into the midst of its work, so what it holds is not certain"
            " any more; do not let one through a put or get that you go on after"
        )
