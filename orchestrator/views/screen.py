"""The screen while a run goes on: targets' output, news of mporch, the live display."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

import msgspec

from orchestrator.core.protocol.notifications import (
    DiskHasRoom,
    HeldByRate,
    ItemDead,
    ItemFailed,
    ItemRetried,
    ItemSkipped,
    JobEnded,
    JobStarted,
    Logged,
    Notification,
    OutputLine,
    ProcessesSurvived,
    Progress,
    QueueClosed,
    QueueEnded,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    WaitingFor,
    Warned,
    WorkerEnded,
    WorkerReplaced,
)
from orchestrator.core.samples import Header, Sample, Window
from orchestrator.views.drawing import Live
from orchestrator.views.frame import Look, frame, plain_line
from orchestrator.views.output import (
    OutputMode,
    OutputView,
    ProgressMode,
    ProgressView,
    Throttle,
    to_stderr,
)
from orchestrator.views.repeats import Repeated, Repeats
from orchestrator.views.tables import colours, is_dumb
from orchestrator.views.text import Style, escaped, paint, shortened

__all__ = ["Describe", "Outlet", "Screen", "Settings", "settings_for", "targets_colours"]


Describe = Callable[[Notification], tuple[str, int, str]]
"""From a fact to its event's name, its level as a number of `logging`, and its message."""

_WARNING, _ERROR = 30, 40
_LINE_EVERY_S = 10.0
_IN_THE_REPORT = (ItemSkipped, QueueEnded, QueueClosed, ProcessesSurvived, RunEnded)
_PLAIN_NEWS = (RunStarted, JobStarted, JobEnded)
_ALWAYS_NEWS = (RunResumed, WaitingFor, HeldByRate, DiskHasRoom)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is shown.

    `live` asks for the live display, `unicode` for more than ASCII in it, `lines` for a plain line
    now and then; without `news` mporch itself says nothing. `targets_colours`: those of targets are
    shown, None: on terminals.
    """

    output: OutputMode = OutputMode.PREFIXED
    all_to_stderr: bool = False
    live: bool = False
    lines: bool = False
    news: bool = True
    colour: bool = False
    unicode: bool = True
    targets_colours: bool | None = None


def settings_for(
    *,
    output: OutputMode,
    json_output: bool,
    progress: ProgressMode,
    stderr: TextIO | None,
    environ: Mapping[str, str],
) -> Settings:
    """Return how to show a run.

    Raw output may leave a line open, so there is no live display beside it.
    """
    shown = stderr is not None and stderr.isatty()
    able = shown and environ.get("TERM") != "dumb" and output is not OutputMode.RAW
    return Settings(
        output=output,
        all_to_stderr=json_output,
        live=able and progress in {ProgressMode.AUTO, ProgressMode.LIVE},
        lines=progress is ProgressMode.LINES or (not able and progress is not ProgressMode.NONE),
        colour=colours(stderr, environ),
        targets_colours=targets_colours(environ),
        unicode="utf" in (getattr(stderr, "encoding", None) or "").lower(),
    )


def targets_colours(environ: Mapping[str, str]) -> bool | None:
    """Return whether the colours of targets are shown; None: on terminals."""
    if is_dumb(environ):
        return False
    if any(environ.get(name) not in (None, "", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return None


class Screen:
    """Shows a run on standard output and error, never waiting for either.

    The loop tells it facts and samples and calls `flush` when it has a moment.
    """

    def __init__(
        self,
        settings: Settings,
        describe: Describe,
        header: Header,
        *,
        sentence: Callable[[], str] = str,
    ) -> None:
        """Show the run of `header`; `describe` gives the words for mporch's own events.

        `sentence` tells what limits the run.
        """
        self._settings = settings
        self._describe = describe
        self._err = Outlet(2)
        self._out = self._err if settings.all_to_stderr else Outlet(1)
        self._view = OutputView(
            settings.output,
            colour=settings.colour,
        )
        self._live = Live() if settings.live else None
        self._throttle = Throttle()
        self._repeats = Repeats(describe)
        self._progress = ProgressView()
        self._queued: list[tuple[Outlet, str]] = []
        self._failed: set[str] = set()  # workers and jobs; no worker is named as a job may be
        self._header = header
        self._sentence = sentence
        self._window = Window()
        self._next_line_s = _LINE_EVERY_S

    @property
    def backed_up(self) -> bool:
        """True if a reader is so slow that targets' output should not be read for now."""
        return self._out.backed_up or self._err.backed_up

    @property
    def pending(self) -> bool:
        """True if there is something to `flush`."""
        return bool(self._queued or self._out.pending or self._err.pending)

    @property
    def unwritten(self) -> frozenset[int]:
        """The descriptors whose readers would have to make room first."""
        return frozenset(outlet.fd for outlet in (self._out, self._err) if outlet.pending)

    def notify(self, notification: Notification, now: float) -> None:
        """Show a fact, if it is one to show, at the monotonic time `now` (seconds)."""
        if isinstance(notification, OutputLine | Logged):
            self.output(notification, now)
        elif isinstance(notification, ItemRetried | ItemDead | ItemFailed):
            if isinstance(notification, ItemFailed):
                self._failed |= {notification.worker, notification.job}
            self._repeated(notification, now)
        elif not isinstance(notification, _IN_THE_REPORT):
            if isinstance(notification, JobEnded):
                self._say_rest(notification.job)
            self._news(notification, now)

    def progress(self, notification: Progress, now: float) -> None:
        """Show what a line that is drawn anew shows now, once a second at most."""
        if self._progress.admit(notification, now):
            self.output(notification, now)

    def update(self, sample: Sample) -> None:
        """Show how the run stands: draw the live display, or say it in a line if it is time."""
        self._window.add(sample)
        pair = self._window.pair
        if pair is None or sample.last:
            return
        if self._live is None:
            self._say_progress(*pair)
            return
        if self._err.pending:
            return  # a terminal that is stopped or slow gets no more frames to catch up with
        look = self._look()
        self._live.take(frame(self._header, *pair, look, sentence=self._sentence()))
        if self._queued:
            self._redraw()
        else:
            self._err.write(self._live.redraw(look.width))

    def _say_progress(self, before: Sample, sample: Sample) -> None:
        if sample.t < self._next_line_s or not self._settings.news or not self._settings.lines:
            return
        self._next_line_s = (sample.t // _LINE_EVERY_S + 1) * _LINE_EVERY_S
        self._say(plain_line(self._header, before, sample), 0)

    def flush(self) -> None:
        """Write what has been shown since the last time, above the live display."""
        if self._queued:
            self._redraw()
        else:
            self._out.pump()
            self._err.pump()

    def close(self) -> None:
        """Take the live display away and write the rest, waiting for the readers."""
        self._note_held_back(float("inf"))
        self._say_rest()
        if self._live is not None:
            self._err.write(self._live.erase(self._look().width))
            self._live = None
        self._redraw()
        if lost := self._out.lost + self._err.lost:
            self._err.write(f"mporch: {lost:,} lines not shown: the reader was slow; see the log\n")
        self._out.close()
        if self._out.refusal:
            missing = f"the rest of standard output is missing: {self._out.refusal}; see the log"
            self._err.write(f"mporch: warning: {missing}\n")
        self._err.close()

    def _redraw(self) -> None:
        """Erase the live display, write what is queued, draw it again below."""
        if self._live is not None:
            self._err.write(self._live.erase(self._look().width))
        self._write_queued()
        if self._live is not None:
            self._err.write(self._live.draw())

    def _write_queued(self) -> None:
        """Write what is queued, in its order: both outlets may be the same terminal."""
        last = self._err
        for outlet, text in self._queued:
            if outlet is not last:
                last.pump()
                last = outlet
            if outlet.backed_up:  # it keeps so much only for a reader that is slow
                outlet.pump()
            outlet.put(text)
        last.pump()
        self._queued.clear()

    def output(self, notification: OutputLine | Logged | Progress, now: float) -> None:
        """Show what a target has written."""
        outlet = self._err if to_stderr(notification) else self._out
        wanted = self._settings.targets_colours
        line = self._view.line(
            notification, colours=outlet.is_terminal if wanted is None else wanted
        )
        if line is None:
            return
        if outlet.is_terminal:
            self._note_held_back(now)
            if not self._throttle.admit(notification.worker, now):
                return
        self._queued.append((outlet, line))

    def _news(self, notification: Notification, now: float) -> None:
        """Queue what mporch itself has to say, where there is no live display that shows it."""
        if isinstance(notification, WorkerEnded) and notification.worker in self._failed:
            return  # its item has been told of
        if isinstance(notification, JobEnded) and notification.job in self._failed:
            notification = msgspec.structs.replace(
                notification, reason=""
            )  # it was told with the worker
        _, level, msg = self._describe(notification)
        if isinstance(notification, WorkerEnded) and level >= _ERROR:
            self._failed.add(notification.job)
        if not self._settings.news:
            return
        if isinstance(notification, _PLAIN_NEWS):
            if self._live is not None:
                return
        elif level < _WARNING and not isinstance(notification, _ALWAYS_NEWS):
            return
        if isinstance(notification, WorkerReplaced | WorkerEnded):
            self._repeated(notification, now)
            return
        self._say(shortened(msg), level)
        if isinstance(notification, Warned) and notification.hint:
            self._say(f"  hint: {notification.hint}", 0)
        if isinstance(notification, RunStopping) and (notification.how, notification.reason) == (
            "drain",
            "interrupted",
        ):
            self._say("  hint: Ctrl-C again terminates the workers, a third time kills them", 0)

    def _repeated(self, notification: Repeated, now: float) -> None:
        if self._settings.news and (told := self._repeats.take(notification, now)):
            level, text = told
            self._say(shortened(text), level)

    def _say_rest(self, job: str | None = None) -> None:
        for level, text in self._repeats.rest(job):
            self._say(shortened(text), level)

    def _say(self, msg: str, level: int) -> None:
        word, style = "", None
        if level >= _ERROR:
            word, style = "error: ", Style.RED
        elif level >= _WARNING:
            word, style = "warning: ", Style.YELLOW
        painted = paint(word, style, colour=self._settings.colour)
        self._queued.append((self._err, f"mporch: {painted}{escaped(msg)}\n"))

    def _note_held_back(self, now: float) -> None:
        if note := self._throttle.note(now):
            self._queued.append((self._err, f"mporch: {note}\n"))

    def _look(self) -> Look:
        try:
            size = os.get_terminal_size(2)
        except OSError:
            size = os.terminal_size((80, 24))
        return Look(
            width=size.columns or 80,
            height=size.lines or 24,
            colour=self._settings.colour,
            unicode=self._settings.unicode,
        )


_PIECE_BYTES = 4096  # a pipe that polls writable takes this much without blocking (PIPE_BUF)
_TERMINAL_PIECE_BYTES = 1024
_BACKED_UP_BYTES = 256 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_READER_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})


class Outlet:
    """A file descriptor, and what is still to be written to it: it never waits for its reader.

    The loop that runs the pipeline draws the screen too; a pager that nobody scrolls, or a terminal
    stopped with Ctrl-S, must not stop it.

    A reader that has gone closes it for good, and so does a disk without room: what is written
    later is discarded. `lost` counts the writes that were discarded because too much was pending;
    `refusal` is what the system said to a write, if a reader's leaving was not the reason.
    """

    def __init__(self, fd: int) -> None:
        """Use `fd`, which stays open and is not changed."""
        self.fd = fd
        self._pending = bytearray()
        self._gone = False
        self.lost = 0
        self.refusal = ""
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            self._gone, mode = True, 0
        self.is_terminal = not self._gone and os.isatty(fd)
        self._never_blocks = stat.S_ISREG(mode)
        self._piece = _TERMINAL_PIECE_BYTES if self.is_terminal else _PIECE_BYTES
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    @property
    def backed_up(self) -> bool:
        """True if so much is pending that whoever produces it should pause."""
        return len(self._pending) > _BACKED_UP_BYTES

    @property
    def pending(self) -> int:
        """Return how many bytes are still to be written."""
        return len(self._pending)

    def write(self, text: str) -> None:
        """Write `text`, now as far as that needs no waiting, else later."""
        self.put(text)
        self.pump()

    def put(self, text: str) -> None:
        """Take `text`, to be written by the next `pump`."""
        if self._gone:
            return
        if len(self._pending) > _MOST_BYTES:
            self.lost += 1
        else:
            self._pending += _encode(text)

    def pump(self) -> None:
        """Write what is pending, as far as that needs no waiting."""
        while self._pending and (self._never_blocks or self._poll.poll(0)):
            if not self._write_piece():
                return

    def close(self) -> None:
        """Write the rest; waits for the reader, who may be a person at a pager."""
        while self._pending and not self._gone:
            if not self._write_piece():
                return

    def _write_piece(self) -> bool:
        size = len(self._pending) if self._never_blocks else self._piece
        try:
            done = os.write(self.fd, bytes(self._pending[:size]))
        except BlockingIOError:  # somebody else has made it non-blocking
            self._poll.poll(None)
            return True
        except OSError as error:
            self._gone = True
            self._pending.clear()
            if error.errno not in _READER_GONE:
                self.refusal = error.strerror or "it cannot be written"
            return False
        del self._pending[:done]
        return True


def _encode(text: str) -> bytes:
    """Encode for the screen: bytes that were no UTF-8 when they were read come out as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")
