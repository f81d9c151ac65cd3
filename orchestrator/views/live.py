"""The live display: a block of lines at the bottom of a terminal, drawn over and over."""

from __future__ import annotations

from collections import deque

from orchestrator.core.reporting.summary import Snapshot
from orchestrator.views.frame import Look, frame

__all__ = ["DRAW_EVERY_S", "Live", "Rates"]

DRAW_EVERY_S = 0.25
# Clears the line, then from its second cell on: tmux takes what is cleared from the very first
# cell of the screen into its history, which would keep each frame there.
_CLEAR = "\x1b[K\x1b[C\x1b[J\r"
_WINDOW_S = 2.0


class Rates:
    """Items a second of each job, over the last two seconds of snapshots."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def add(self, snapshot: Snapshot, now: float) -> dict[str, float]:
        """Take a snapshot of the monotonic time `now` (seconds) and return the rates by job."""
        totals = {job.name: job.items_in or job.items_out for job in snapshot.jobs}
        self._seen.append((now, totals))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if now - since < DRAW_EVERY_S:
            return {}
        return {name: (n - before.get(name, 0)) / (now - since) for name, n in totals.items() if n}


class Live:
    """Makes the text that draws and erases the block; it does no I/O of its own."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rates = Rates()
        self._lines: list[str] = []
        self._drawn: list[int] = []
        self._began: float | None = None

    def take(self, snapshot: Snapshot, look: Look, now: float) -> None:
        """Compute the frame for a snapshot of the monotonic time `now` (seconds)."""
        if self._began is None:
            self._began = now
        rates = self._rates.add(snapshot, now)
        elapsed_s = now - self._began
        self._lines = frame(snapshot, look, title=self._title, elapsed_s=elapsed_s, rates=rates)

    def draw(self) -> str:
        """Return the text that draws the last frame, the cursor being where it shall begin."""
        self._drawn = [_visible(line) for line in self._lines]
        return "\n".join(self._lines)

    def erase(self, width: int) -> str:
        """Return the text that takes the drawn block away, the terminal now being `width` wide.

        A terminal that was made narrower has wrapped the block's lines.
        """
        if not self._drawn:
            return ""
        rows = sum(max(1, -(-cells // width)) for cells in self._drawn)
        self._drawn = []
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + _CLEAR


def _visible(line: str) -> int:
    """Return how many cells a painted line takes."""
    cells, inside = 0, False
    for char in line:
        if char == "\x1b":
            inside = True
        elif inside:
            inside = char != "m"
        else:
            cells += 1
    return cells
