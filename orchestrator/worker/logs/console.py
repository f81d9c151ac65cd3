"""The console of a program that logs: its streams, and the record that is drawn on them.

Called in the child. Streams are told apart by where what is written to them goes. While a thread
hands a record to the program's own handlers, what these draw for the console is kept as the
record's text and not written: it would be the same record a second time.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from orchestrator.ipc.marks import Console, MarkedFile

__all__ = ["ConsoleStreams", "PendingRecord", "PendingRecords", "Streams"]


class PendingRecord:
    """One record on its way. `text` is what was drawn of it; None: nobody has drawn it.

    `kept`: the log does not get it, only the program's own handlers do.
    """

    __slots__ = ("drawing", "kept", "message", "record", "text")

    def __init__(self, record: Any, *, message: str | None = None, kept: bool = False) -> None:
        self.record = record
        self.message = message
        self.kept = kept
        self.text: str | None = None
        self.drawing = False

    def draw(self, text: str) -> None:
        """Keep what a handler has made for the console; the first one's counts."""
        if self.text is None:
            self.text = text

    def is_of(self, record: Any) -> bool:
        """True if it is this record, or a copy that a filter has put in its place."""
        ours = self.record
        return record is ours or (
            getattr(record, "created", None) == getattr(ours, "created", 0)
            and getattr(record, "lineno", None) == getattr(ours, "lineno", 0)
        )


class _Local(threading.local):
    pending: PendingRecord | None = None


class PendingRecords:
    """The pending record of each thread: the innermost, since a handler may log.

    `watch` is told before anybody draws for the first time: from then on what is written is offered
    to `take`. That is not undone, since another thread may have begun to draw meanwhile. `flush`
    brings what was written to the console so far on its way.
    """

    def __init__(
        self, watch: Callable[[], object] = bool, flush: Callable[[], object] = bool
    ) -> None:
        self._local = _Local()
        self._watch: Callable[[], object] = watch
        self._flush: Callable[[], object] = flush

    @property
    def current(self) -> PendingRecord | None:
        """That of this thread."""
        return self._local.pending

    def enter(self, pending: PendingRecord) -> PendingRecord | None:
        """From now on handlers are given this record; returns the one before, for `leave`."""
        local = self._local
        before, local.pending = local.pending, pending
        return before

    def leave(self, before: PendingRecord | None) -> None:
        """They have had it."""
        self._local.pending = before

    @contextlib.contextmanager
    def drawing(self, pending: PendingRecord) -> Iterator[None]:
        """Inside, what is written to the console is a drawing of this record.

        What was printed before is none: it goes first. Of two drawings the first one counts.
        """
        self._flush()
        earlier, before = pending.text, pending.drawing
        pending.drawing = True
        self._watch()
        try:
            yield
            self._flush()
        finally:
            pending.drawing = before
            if earlier is not None and not before:
                pending.text = earlier

    @contextlib.contextmanager
    def apart(self, record: Any = None) -> Iterator[PendingRecord]:
        """Inside, what this thread writes to the console is kept as the text of another record."""
        pending = PendingRecord(record)
        before = self.enter(pending)
        try:
            with self.drawing(pending):
                yield pending
        finally:
            self.leave(before)

    def take(self, data: bytes) -> bool:
        """Keep bytes for the console if they are drawn of a record; whether they are."""
        pending = self._local.pending
        if pending is None or not pending.drawing:
            return False
        pending.text = (pending.text or "") + data.decode("utf-8", "backslashreplace")
        return True


_RAW = (MarkedFile, io.FileIO)


class Streams(Protocol):
    """What the seams ask of a stream that a program writes its records to."""

    def is_console(self, stream: Any) -> bool:
        """True if it says that it is the console: descriptor 1 or 2, if that is still ours."""

    def is_plain(self, stream: Any) -> bool:
        """True if it is the console and nothing else: a file of Python's own on it.

        What has a `write` of its own may write elsewhere, too, as a tee does: that has to be
        called.
        """


class ConsoleStreams:
    """The streams of a worker, whose console is known."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def is_console(self, stream: Any) -> bool:
        """As `Streams` says; one whose methods raise, whatever that is, is not."""
        try:
            fd = stream.fileno()
            return type(fd) is int and fd in (1, 2) and self._console.is_ours(fd)
        except Exception:  # noqa: BLE001 - a class of the user's; StringIO has no descriptor
            return False

    def is_plain(self, stream: Any) -> bool:
        """As `Streams` says."""
        below = stream
        try:
            if type(below) is io.TextIOWrapper and "write" not in vars(below):
                below = below.buffer
            if type(below) is io.BufferedWriter and "write" not in vars(below):
                below = below.raw
        except ValueError:  # it was detached
            return False
        return type(below) in _RAW and self.is_console(stream)
