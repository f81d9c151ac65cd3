"""One worker's output, log records and progress cell, read for its node."""

from __future__ import annotations

import os
import time

import msgspec

from orchestrator.core.protocol.events import Blame, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    Logged,
    Notification,
    OutputLine,
    Progress,
    Stream,
)
from orchestrator.core.samples import Figures, Service
from orchestrator.engine.node.capture import (
    CapturedLine,
    JsonRecord,
    MarkedLines,
    drain,
    parse,
)
from orchestrator.engine.node.crash import CrashText, StackRequest
from orchestrator.engine.node.workerprocess import WorkerProcess
from orchestrator.ipc import records
from orchestrator.ipc.cell import MARKS, Cell
from orchestrator.plan.model import Capture, JobPlan

__all__ = ["WorkerIO"]

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_PIPE_READ = 64 * 1024
_RECORDS_READ = 512
_RECORDS_BYTES = 1 << 20
"""More than the kernel queues for a socket: at a death they are all, before it they are fair."""


class WorkerIO:
    """What a worker prints and logs, and its progress cell."""

    def __init__(self, name: str, job: JobPlan, process: WorkerProcess) -> None:
        self.name = name
        self.job = job
        self.process = process
        self.cell = Cell(process.cell)
        self.stack = StackRequest(process, self.cell)
        self.mark = ""
        """How its dumps end (`ipc/stacks.py`), once that was read."""
        self.overdue: Blame | None = None
        self._killed_at: Blame | None = None
        self._crash = CrashText()
        self._splitters = {
            process.stdout_fd: (Stream.STDOUT, MarkedLines(process.key)),
            process.stderr_fd: (Stream.STDERR, MarkedLines(process.key)),
        }
        self._takes_json = job.capture is Capture.AUTO
        self._shown: dict[int, str] = {}

    @property
    def pipes(self) -> tuple[int, ...]:
        """The capture pipes that are still open."""
        return tuple(self._splitters)

    def read_pipe(self, fd: int) -> list[Notification | Progress] | None:
        """Return what one read of a capture pipe brings; None at its end."""
        try:
            data = os.read(fd, _PIPE_READ)
        except BlockingIOError:
            return []
        if not data:
            return None
        stream, splitter = self._splitters[fd]
        facts: list[Notification | Progress] = [
            self._printed(stream, line) for line in splitter.feed(data, time.time())
        ]
        if splitter.unmarked:
            splitter.unmarked = False
            self._ask_for_marks(stream)
        state = splitter.state
        if state or fd in self._shown:
            self._note_state(fd, state, facts)
        return facts

    def read_log(self) -> list[Notification | Progress] | None:
        """The next log records that are there; None when nobody can send any more."""
        facts: list[Notification | Progress] = []
        left = _RECORDS_BYTES
        while len(facts) < _RECORDS_READ and left > 0:
            try:
                data = self.process.log_sock.recv(records.RECORD_LIMIT * 2)
            except BlockingIOError:
                return facts
            except OSError:
                return facts or None
            if not data:
                return facts or None
            left -= len(data)
            facts.append(self._record(data))
        return facts

    def last_words(self) -> list[Notification | Progress]:
        """Everything a dead worker has left in its pipes; its children may still hold them open."""
        facts = self.read_log() or []
        for fd, (stream, splitter) in self._splitters.items():
            now = time.time()
            lines = [*splitter.feed(drain(fd), now), *splitter.flush(now)]
            facts += [self._printed(stream, line) for line in lines]
        return facts

    def close_pipe(self, fd: int) -> list[Notification | Progress]:
        """A pipe has come to its end: its last line. The descriptor is closed with the others."""
        stream, splitter = self._splitters[fd]
        return [self._printed(stream, line) for line in splitter.flush(time.time())]

    def blame(self) -> Blame:
        """Return what the worker was at, or what it is killed for."""
        return self._killed_at or self.cell.blame()

    def figures(self) -> Figures | None:
        """Return what it uses and is at; None if it is dead."""
        if (usage := self.process.usage()) is None:
            return None
        cpu_s, rss = usage
        blame, at_item_s = self.at()
        service = self.service()
        return Figures(cpu_s=cpu_s, rss=rss, blame=blame, at_item_s=at_item_s, service=service)

    def at(self) -> tuple[Blame, float]:
        """Return the item it is at by its cell, and for how many seconds."""
        blame, at_item_s = self.cell.blame(), 0.0
        if blame.phase is Phase.RUNNING:
            at_item_s = max(0.0, time.monotonic() - self.cell.since_s())
        return blame, at_item_s

    def service(self) -> Service:
        """Return how long its items took."""
        return self.cell.service(self.job.inputs)

    def is_killed_for_item(self) -> None:
        """Whatever it begins before it is dead, it dies of the item that is `overdue`."""
        self._killed_at = self.overdue

    def crash(self) -> Failure | None:
        """Return what the dead worker's own last words say of its crash, or of where it hung."""
        return self._crash.failure() or self.stack.answer()

    def _ask_for_marks(self, stream: Stream) -> None:
        """Something came without a mark: the worker shall say where its items begin."""
        bit = 1 if stream is Stream.STDOUT else 2
        words = self.cell.words
        if not words[MARKS] & bit:
            words[MARKS] |= bit

    def _note_state(self, fd: int, state: str, facts: list[Notification | Progress]) -> None:
        """Tell what a line that is drawn anew shows now, if that has changed."""
        if state != self._shown.get(fd):
            stream, _ = self._splitters[fd]
            facts.append(Progress(job=self.job.name, worker=self.name, stream=stream, text=state))
        if state:
            self._shown[fd] = state
        else:
            self._shown.pop(fd, None)

    def _printed(self, stream: Stream, line: CapturedLine) -> Notification:
        """A line as the fact it is: a log record, if it is one in JSON."""
        text = line.text
        if self._takes_json and text[:1] == "{" and not line.more:
            found = parse(text)
            if found is not None:
                return self._json_record(stream, line, found)
        return self._output(stream, line)

    def _output(self, stream: Stream, line: CapturedLine) -> OutputLine:
        if stream is Stream.STDERR:
            self._crash.line(line.text)
        stamp = line.stamp
        return OutputLine(
            job=self.job.name,
            worker=self.name,
            pid=self.process.pid,
            stream=stream,
            text=line.text,
            more=line.more,
            ts=stamp.ts,
            item=stamp.item,
            attempt=stamp.attempt,
        )

    def _json_record(self, stream: Stream, line: CapturedLine, found: JsonRecord) -> Logged:
        stamp = line.stamp
        return Logged(
            job=self.job.name,
            worker=self.name,
            pid=self.process.pid,
            ts=stamp.ts,
            text=line.text,
            item=stamp.item,
            attempt=stamp.attempt,
            stream=stream,
            **found._asdict(),
        )

    def _record(self, data: bytes) -> Notification:
        try:
            record = records.decode(data)
            if record.fields:
                _check(record.fields)
        except (ValueError, RecursionError):
            text = data.decode("utf-8", "backslashreplace")
            return self._output(Stream.STDERR, CapturedLine(text=text))
        logged = Logged(
            job=self.job.name,
            worker=self.name,
            pid=record.pid or self.process.pid,
            ts=record.ts,
            level=record.level,
            logger=record.logger,
            msg=record.msg,
            fields=record.fields,
            item=record.item,
            attempt=record.attempt,
            call=record.call,
            text=record.text,
        )
        if not (record.traceback or record.error_type or record.thread or record.cut):
            return logged  # as most are
        return msgspec.structs.replace(
            logged,
            traceback=record.traceback,
            error_type=record.error_type,
            error=record.error,
            thread=record.thread,
            cut=record.cut,
        )


def _check(fields: str) -> None:
    """Raise ValueError unless this is a JSON object in one line of ASCII: it is logged as it is."""
    _decode(fields)
    if not fields.isascii() or "\n" in fields:
        raise ValueError("not one line of ASCII")
