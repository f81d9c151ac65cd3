"""One worker's descriptors, read and written for the loop. Called in the parent."""

from __future__ import annotations

import os

from orchestrator.core.events import Blame, Blob
from orchestrator.core.facts import Fact, Logged, Output, Stream
from orchestrator.core.messages import Failure, FromWorker
from orchestrator.plan.model import JobPlan
from orchestrator.runtime import records
from orchestrator.runtime.cell import Cell
from orchestrator.runtime.local.capture import Line, LineSplitter, drain
from orchestrator.runtime.local.channel import Channel
from orchestrator.runtime.local.crash import CrashText
from orchestrator.runtime.local.workerprocess import WorkerProcess

__all__ = ["WorkerIO"]

_PIPE_READ = 64 * 1024
_RECORDS_READ = 512
_RECORDS_BYTES = 1 << 20
"""More than the kernel queues for a socket: at a death they are all, before it they are fair."""


class WorkerIO:
    """A worker's channel, what it prints and logs, and its progress cell."""

    def __init__(self, name: str, job: JobPlan, process: WorkerProcess) -> None:
        self.name = name
        self.job = job
        self.process = process
        self.channel = Channel(process.sock)
        self.cell = Cell(process.cell)
        self.connected = True
        self._crash = CrashText()
        self._splitters = {
            process.stdout_fd: (Stream.STDOUT, LineSplitter()),
            process.stderr_fd: (Stream.STDERR, LineSplitter()),
        }

    @property
    def pipes(self) -> tuple[int, ...]:
        """The capture pipes that are still open."""
        return tuple(self._splitters)

    def read_channel(self, buffer: memoryview) -> list[tuple[FromWorker, tuple[Blob, ...]]] | None:
        """The messages that one read brings, None if nothing is there; raises wire.FrameError."""
        return self.channel.read(buffer)

    def read_pipe(self, fd: int) -> list[Fact] | None:
        """What one read of a capture pipe brings; None at its end."""
        try:
            data = os.read(fd, _PIPE_READ)
        except BlockingIOError:
            return []
        if not data:
            return None
        stream, splitter = self._splitters[fd]
        return [self._output(stream, line) for line in splitter.feed(data)]

    def read_log(self) -> list[Fact] | None:
        """The next log records that are there; None when nobody can send any more."""
        facts: list[Fact] = []
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

    def last_words(self) -> list[Fact]:
        """Everything a dead worker has left in its pipes; its children may still hold them open."""
        facts = self.read_log() or []
        for fd, (stream, splitter) in self._splitters.items():
            lines = [*splitter.feed(drain(fd)), *splitter.flush()]
            facts += [self._output(stream, line) for line in lines]
        return facts

    def close_pipe(self, fd: int) -> list[Fact]:
        """A pipe has come to its end: its last line. The descriptor is closed with the others."""
        stream, splitter = self._splitters[fd]
        return [self._output(stream, line) for line in splitter.flush()]

    def blame(self) -> Blame:
        """What the worker was at."""
        return self.cell.blame()

    def crash(self) -> Failure | None:
        """What the dead worker's own last words say of its crash."""
        return self._crash.failure()

    def _output(self, stream: Stream, line: Line) -> Output:
        if stream is Stream.STDERR:
            self._crash.line(line.text)
        return Output(
            job=self.job.name,
            worker=self.name,
            pid=self.process.pid,
            stream=stream,
            text=line.text,
            more=line.more,
        )

    def _record(self, data: bytes) -> Fact:
        try:
            record = records.decode(data)
        except ValueError:
            text = data.decode("utf-8", "backslashreplace")
            return self._output(Stream.STDERR, Line(text=text))
        return Logged(
            job=self.job.name,
            worker=self.name,
            pid=self.process.pid,
            ts=record.ts,
            level=record.level,
            logger=record.logger,
            msg=record.msg,
            traceback=record.traceback,
            fields=record.fields,
        )
