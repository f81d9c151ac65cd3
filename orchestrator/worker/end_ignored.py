"""End ignored: a target that goes on asking after the end of its stream is ended, as a success.

A loop with `except queue.Empty: continue`, or `except Exception`, around `get` takes the end of a
stream for an empty queue, and would never end. Called in the child.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import weakref
from collections.abc import Callable

from orchestrator.worker.client import Client

__all__ = ["EndIgnored", "EndTold"]

_LOG = logging.getLogger("mporch")
_ASKS = 20
_PATIENCE_S = 0.5
"""So often, or for so long, a target may ask again in a row; only loops without an end do."""
_MANY = 1000
"""After so many asks a warning tells of a loop that also puts, which is not ended."""


class EndIgnored(SystemExit):
    """Ends a target that goes on asking for items that will never come; the job has succeeded.

    No Exception, so that `except Exception` lets it through.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 0


@dataclasses.dataclass(slots=True)
class _Told:
    """What one thread was told: how often in a row, since when, and how often in all.

    `put` is what was put by then; `ended`: EndIgnored was raised in it.
    """

    put: tuple[int, int]
    since: float
    asks: int = 0
    total: int = 0
    ended: bool = False


class EndTold:
    """Counts, for each thread, the ends of streams it was told without getting anything since.

    What the others get and put meanwhile counts too, so that whoever polls several queues in turn
    is never ended while one of them goes on. `at_end` is called in the main thread, lock held, when
    a target has swallowed EndIgnored as well; it does not return.
    """

    def __init__(self, client: Client) -> None:
        self.at_end: Callable[[], None] = lambda: None
        self._client = client
        self._is_told = False
        self._told: weakref.WeakKeyDictionary[threading.Thread, _Told] = weakref.WeakKeyDictionary()

    def forget(self) -> None:
        """Something was got, or a queue that has not ended was empty (lock held)."""
        if self._is_told:  # asked for each item, and hardly ever
            self._is_told = False
            for told in self._told.values():
                told.asks = told.total = 0

    def note(self, who: str) -> None:
        """`get` is about to say that the stream has ended (lock held).

        Raises EndIgnored when it has said so too often, or for too long.
        """
        told, now = self._another(), time.monotonic()
        if told.asks >= _ASKS or now - told.since >= _PATIENCE_S:
            self._end(told, who)
        if told.total == _MANY:
            _LOG.warning("%s, which has ended, and puts something each time", who)

    def note_empty(self, who: str) -> None:
        """`empty` is about to say so of a queue that has ended (lock held); raises as `note`.

        Many ask that now and then when they have read all: only often and long is a loop.
        """
        told, now = self._another(), time.monotonic()
        if told.asks >= _ASKS and now - told.since >= _PATIENCE_S:
            self._end(told, who)

    def _another(self) -> _Told:
        thread, put = threading.current_thread(), self._client.put_so_far
        told = self._told.get(thread)
        if told is None:
            told = self._told[thread] = _Told(put=put, since=0.0)
        if told.put != put:
            told.asks, told.put = 0, put
        if not told.asks:
            told.since = time.monotonic()
        self._is_told = True
        told.asks += 1
        told.total += 1
        return told

    def _end(self, told: _Told, who: str) -> None:
        text = (
            f"{who}, which has ended: its call is ended, as a success, and what stands after its"
            " loop is not run. Let orchestrator.EndOfStream through where a loop catches"
            " queue.Empty or Exception, or leave the loop at it"
        )
        in_main = threading.current_thread() is threading.main_thread()
        told.asks = 0
        if not told.ended:
            told.ended = True
            _LOG.warning(text)
            raise EndIgnored(text) if in_main else SystemExit  # a thread ends in silence by this
        if in_main:
            self.at_end()
        self._client.connection.park()
