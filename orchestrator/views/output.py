"""Output of targets on mporch's own standard output and error: `report-1 | line`."""

from __future__ import annotations

import enum
from collections import Counter

from orchestrator.core.facts import Logged, Output, Stream
from orchestrator.views.text import Style, paint, screen_line

__all__ = ["OutputMode", "OutputView", "Throttle", "to_stderr"]

_COLOURS = (Style.CYAN, Style.MAGENTA, Style.GREEN, Style.BLUE, Style.YELLOW)
_QUIET = frozenset({"DEBUG", "TRACE", "NOTSET"})


class OutputMode(enum.Enum):
    """How the output of targets is shown."""

    PREFIXED = "prefixed"
    RAW = "raw"
    NONE = "none"


class OutputView:
    """Makes lines for the screen of `Output` and `Logged` facts.

    Log records below INFO are only in the log. What is shown with a prefix is escaped, into a pipe
    as well, behind which there may be a terminal; raw output is what the target wrote.
    """

    def __init__(self, mode: OutputMode, *, colour: bool) -> None:
        self._mode = mode
        self._colour = colour
        self._styles: dict[str, Style] = {}

    def line(self, fact: Output | Logged) -> str | None:
        """Return the line to show, with its newline; None if there is nothing to show."""
        if self._mode is OutputMode.NONE:
            return None
        if isinstance(fact, Logged):
            if fact.level.upper() in _QUIET:
                return None
            return self._placed(fact, f"{fact.level.upper()} {fact.logger}: {fact.msg}")
        return self._placed(fact, fact.text, more=fact.more)

    def _placed(self, fact: Output | Logged, text: str, *, more: bool = False) -> str:
        if self._mode is OutputMode.RAW:
            return text if more else f"{text}\n"
        prefix = paint(f"{fact.worker} |", self._style(fact.job), colour=self._colour)
        lines = text.split("\n") if isinstance(fact, Logged) else [text]
        return "".join(f"{prefix} {screen_line(line)}\n" for line in lines)

    def _style(self, job: str) -> Style:
        return self._styles.setdefault(job, _COLOURS[len(self._styles) % len(_COLOURS)])


def to_stderr(fact: Output | Logged) -> bool:
    """Return whether a target wrote this to its standard error; log records count as that."""
    return isinstance(fact, Logged) or fact.stream is Stream.STDERR


class Throttle:
    """Lets `most` lines a second of each worker through; the rest is counted.

    Times are monotonic seconds.
    """

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._since = float("-inf")
        self._shown: Counter[str] = Counter()
        self._held_back: Counter[str] = Counter()

    def admit(self, worker: str, now: float) -> bool:
        """Return whether a line of `worker` may be shown at `now`."""
        if now - self._since >= 1.0:
            self._since = now
            self._shown.clear()
        self._shown[worker] += 1
        if self._shown[worker] <= self._most:
            return True
        self._held_back[worker] += 1
        return False

    def note(self, now: float) -> str | None:
        """Return, once a second at most, what to say about lines held back since the last note."""
        if not self._held_back or now - self._since < 1.0:
            return None
        told = ", ".join(f"{n:,} of {worker}" for worker, n in self._held_back.items())
        self._held_back.clear()
        return f"lines of output not shown: {told}: too fast for a terminal; the log has them all"
