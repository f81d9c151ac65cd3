"""Marks where an item begins, for what C code and programs print: Python's own writes have others.

Called in the child. A mark is a system call an item, so they are written only while they are of
use: the orchestrator sets a bit of the progress cell whenever it reads something without a mark of
its own. A stretch of marked items ends when no such bit has come meanwhile; each bit makes the next
stretch twice as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.engine.node.marked import Console
from orchestrator.ipc.cell import MARKS

__all__ = ["BeginMarks"]

_FEWEST, _MOST = 64, 65536
_STDOUT, _STDERR = 1, 2


class BeginMarks:
    """Writes them. With `always` each item has one: a command takes milliseconds in any case."""

    def __init__(
        self,
        console: Console,
        words: memoryview,
        at_hand: Callable[[], tuple[str, int]],
        *,
        always: bool = False,
    ) -> None:
        self._console = console
        self._words = words
        self._at_hand = at_hand
        self._always = always
        self._wanted: set[int] = {_STDOUT, _STDERR} if always else set()
        self._stretch = _FEWEST
        self._left = 0
        self._open = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with a mark before each while marks are of use."""
        bits = self._words[MARKS]
        if bits:
            self._words[MARKS] = 0
            self._wanted |= {fd for fd in (_STDOUT, _STDERR) if bits & fd}
            self._left = self._stretch
            self._stretch = min(_MOST, 2 * self._stretch)
        if not (self._left or self._open or self._always):
            return call

        def marked(*given: Any) -> Any:
            self._begin()
            return call(*given)

        return marked

    def _begin(self) -> None:
        if self._left or self._always:
            self._left = max(0, self._left - 1)
            self._open = True
            hand = self._at_hand()
            for fd in self._wanted:
                self._console.begin(fd, hand)
        elif self._open:  # nobody has printed for a stretch
            self._open = False
            self._stretch = _FEWEST
            for fd in self._wanted:
                self._console.begin(fd)
            self._wanted.clear()
