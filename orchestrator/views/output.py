"""Output of targets on mporch's own standard output and error: `report-1 | line`."""

from __future__ import annotations

import enum
import json
import re
from collections import Counter
from typing import Any

from orchestrator.core.protocol.notifications import Logged, OutputLine, Progress, Stream
from orchestrator.views.text import Style, paint, screen_line

__all__ = [
    "OutputMode",
    "OutputView",
    "ProgressMode",
    "ProgressView",
    "Throttle",
    "key_values",
    "to_stderr",
]

_COLOURS = (Style.CYAN, Style.MAGENTA, Style.GREEN, Style.BLUE, Style.YELLOW)
_QUIET = frozenset({"debug", "trace", "notset"})
_LEVELS = {
    "debug": Style.DIM,
    "warning": Style.YELLOW,
    "error": Style.RED,
    "critical": Style.RED,
}
_PLAIN_VALUE = re.compile(r"[^\s=\"']+")
_INDENT = "    "


class OutputMode(enum.Enum):
    """How the output of targets is shown."""

    PREFIXED = "prefixed"
    RAW = "raw"
    NONE = "none"


class ProgressMode(enum.Enum):
    """How a run shows, while it goes on, how far it is."""

    AUTO = "auto"
    """`LIVE` where standard error is a terminal that can, `LINES` else."""
    LIVE = "live"
    LINES = "10s"
    """One plain line every ten seconds."""
    NONE = "none"


class OutputView:
    """Makes lines for the screen of `OutputLine`, `Logged` and `Progress` facts.

    A record is shown as the program's own handler made it for its console, if it has one. Any other
    record below INFO is only in the log. What is shown with a prefix is escaped, into a pipe as
    well, behind which there may be a terminal; raw output is what the target wrote.
    """

    def __init__(self, mode: OutputMode, *, colour: bool) -> None:
        self._mode = mode
        self._colour = colour
        self._styles: dict[str, Style] = {}
        self._prefixes: dict[str, str] = {}

    def line(
        self, notification: OutputLine | Logged | Progress, *, colours: bool = False
    ) -> str | None:
        """Return the line to show, with its newline; None if there is nothing to show.

        With `colours` the target's own are let through.
        """
        if self._mode is OutputMode.NONE:
            return None
        if isinstance(notification, Logged):
            return self._logged(notification, colours=colours)
        if isinstance(notification, Progress):
            return (
                None
                if self._mode is OutputMode.RAW
                else self._placed(notification, notification.text, colours)
            )
        if self._mode is OutputMode.RAW:
            return notification.text if notification.more else f"{notification.text}\n"
        return self._placed(notification, notification.text, colours)

    def _logged(self, notification: Logged, *, colours: bool) -> str | None:
        text = notification.text
        if text is not None:
            if text == "":
                return None
            if self._mode is OutputMode.RAW:
                return f"{text}\n"
            return self._placed(notification, text.removesuffix("\n"), colours)
        if notification.level.lower() in _QUIET:
            return None
        paints = self._colour and self._mode is not OutputMode.RAW
        level = paint(notification.level.upper(), _LEVELS.get(notification.level), colour=paints)
        logger = f"{notification.logger}: " if notification.logger else ""
        if self._mode is OutputMode.RAW:
            rest = "".join(f"\n{_INDENT}{line}" for line in notification.traceback.splitlines())
            return f"{level} {logger}{notification.msg}{_told_fields(notification)}{rest}\n"
        prefix = self._prefix(notification)
        told = f"{logger}{notification.msg}{_told_fields(notification)}".split("\n")
        first = f"{prefix} {level} {screen_line(told[0], colour=colours)}\n"
        below = [*told[1:], *(_INDENT + line for line in notification.traceback.splitlines())]
        return first + "".join(f"{prefix} {screen_line(line, colour=colours)}\n" for line in below)

    def _placed(
        self, notification: OutputLine | Logged | Progress, text: str, colours: bool
    ) -> str:
        prefix = self._prefix(notification)
        if text.isprintable():  # as most are: one line, without colours
            return f"{prefix} {text}\n"
        lines = text.split("\n") if isinstance(notification, Logged) else [text]
        return "".join(f"{prefix} {screen_line(line, colour=colours)}\n" for line in lines)

    def _prefix(self, notification: OutputLine | Logged | Progress) -> str:
        prefix = self._prefixes.get(notification.worker)
        if prefix is None:
            prefix = paint(
                f"{notification.worker} |", self._style(notification.job), colour=self._colour
            )
            self._prefixes[notification.worker] = prefix
        return prefix

    def _style(self, job: str) -> Style:
        return self._styles.setdefault(job, _COLOURS[len(self._styles) % len(_COLOURS)])


def _told_fields(notification: Logged) -> str:
    return f"  {key_values(json.loads(notification.fields))}" if notification.fields else ""


def key_values(fields: dict[str, Any]) -> str:
    """Return fields as `key=value` in one line, texts in quotes where they need them."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def to_stderr(notification: OutputLine | Logged | Progress) -> bool:
    """Return whether a target wrote this to its standard error; log records count as that."""
    return notification.stream is not Stream.STDOUT


class ProgressView:
    """Lets the state of a line that is drawn anew through once a second, from its second on.

    Times are monotonic seconds.
    """

    def __init__(self, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._shown: dict[tuple[str, Stream], float] = {}

    def admit(self, notification: Progress, now: float) -> bool:
        """Return whether this state is to be shown at `now`; an empty one is the line's end."""
        where = (notification.worker, notification.stream)
        if not notification.text:
            self._shown.pop(where, None)
            return False
        if now - self._shown.setdefault(where, now) < self._every_s:
            return False
        self._shown[where] = now
        return True


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
