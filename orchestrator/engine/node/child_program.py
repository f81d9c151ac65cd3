"""Child programs: Python programs of ours that are asked something, answer, and are ended.

Called in the parent. What only the user's code can make sense of, and what must not be unpickled
here, is looked at in such a child. One kind is asked once, through files in memory, and has a
keeper, which ends all that it has started (`keeper.answer_once`). The other is asked line by line.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from orchestrator.kernel.calls import bounded

__all__ = ["END", "LineProgram", "ProgramResult", "ask_in_foreground", "ask_once"]

END = signal.SIGTERM
"""What ends a keeper with all that descends from it; its parent's death does so, too."""

_END_S = 6.0
"""Longer than a keeper takes to kill what is left."""
_MOST_OUTPUT = 64 * 1024
_MOST_ANSWER = 1 << 26
_PIECE_BYTES = 1 << 16


class ProgramResult(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a program that was asked once.

    `files` are what it has written to each of its files, `output` what it has printed, and
    `exit_code` is negative for a signal. It was ended here if it was not `in_time`.
    """

    files: tuple[bytes, ...]
    output: bytes
    exit_code: int
    in_time: bool


def ask_once(
    module: str,
    request: bytes,
    *,
    timeout_s: float,
    answers: int = 1,
    session: bool = False,
    errors_only: bool = False,
) -> ProgramResult:
    """Run a module with a request, for a limited time; all that it has started is gone afterwards.

    It gets so many files for its `answers`. A `session` of its own keeps the signals of a terminal
    from it. Of what it prints the first 64 KiB are kept; with `errors_only` it is standard error
    alone, and the last of it.
    """
    with _memory_files(1 + answers) as files:
        _fill(files[0], request)
        child = subprocess.Popen(
            [sys.executable, "-P", "-u", *_arguments(module, files)],
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if errors_only else subprocess.PIPE,
            stderr=subprocess.PIPE if errors_only else subprocess.STDOUT,
            start_new_session=session,
        )
        try:
            output, in_time = _wait(child, timeout_s, keep_last=errors_only)
        finally:
            _end(child)
        return ProgramResult(
            files=tuple(map(_content, files[1:])),
            output=output,
            exit_code=child.returncode,
            in_time=in_time,
        )


def ask_in_foreground(module: str, request: bytes) -> ProgramResult:
    """Run a module with a request and this process's standard streams, for as long as it takes.

    Ctrl-C is left to it.
    """
    with _memory_files(2) as files:
        _fill(files[0], request)
        command = [sys.executable, "-P", *_arguments(module, files)]
        with subprocess.Popen(command, pass_fds=files) as child:
            code: int | None = None
            while code is None:
                try:
                    code = child.wait()
                except KeyboardInterrupt:
                    continue  # the terminal has told the child, too
        return ProgramResult(files=(_content(files[1]),), output=b"", exit_code=code, in_time=True)


def _arguments(module: str, files: Sequence[int]) -> list[str]:
    return ["-m", module, *map(str, (os.getpid(), *files))]


@contextmanager
def _memory_files(n: int) -> Iterator[Sequence[int]]:
    with ExitStack() as stack:
        files = []
        for _ in range(n):
            files.append(os.memfd_create("mporch-program"))
            stack.callback(os.close, files[-1])
        yield files


def _fill(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)


def _content(fd: int) -> bytes:
    return os.pread(fd, min(os.fstat(fd).st_size, _MOST_ANSWER), 0)


def _wait(
    child: subprocess.Popen[bytes], timeout_s: float, *, keep_last: bool
) -> tuple[bytes, bool]:
    """Wait for the end of the child; returns what it printed, and whether it ended in time.

    The end of the pipe is not waited for: a grandchild may hold it.
    """
    stream = child.stdout or child.stderr
    assert stream is not None
    output, pipe = bytearray(), stream.fileno()
    os.set_blocking(pipe, False)
    deadline = time.monotonic() + timeout_s
    pidfd = os.pidfd_open(child.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pidfd, selectors.EVENT_READ)
            selector.register(pipe, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(bounded(left))}
                if pipe in ready and not _take(pipe, output, keep_last=keep_last):
                    selector.unregister(pipe)
                if pidfd in ready:
                    while _take(pipe, output, keep_last=keep_last):
                        pass
                    return bytes(output), True
    finally:
        os.close(pidfd)
    return bytes(output), False


def _take(pipe: int, output: bytearray, *, keep_last: bool) -> bool:
    """Take what there is to be read, keeping so much of it; False if there is nothing."""
    try:
        data = os.read(pipe, _MOST_OUTPUT)
    except BlockingIOError:
        return False
    if keep_last:
        output += data
        del output[:-_MOST_OUTPUT]
    else:
        output += data[: max(0, _MOST_OUTPUT - len(output))]
    return bool(data)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the keeper, which kills all that descends from it; else its group, which it leads."""
    os.kill(child.pid, END)  # not reaped yet, so the number is its own
    pidfd = os.pidfd_open(child.pid)
    try:
        select.select([pidfd], [], [], _END_S)
    finally:
        os.close(pidfd)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()


class LineProgram:
    """A program that answers each line on standard input with one on standard output.

    It is started when it is first asked, and again after it has died of a question or was ended.
    """

    def __init__(self, command: Sequence[str], *, timeout_s: float) -> None:
        self._command = command
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._read = bytearray()

    def ask(self, request: bytes) -> bytes | None:
        """Return the answer; None if the child has died of the question, or took too long for it.

        Neither request nor answer has a newline.
        """
        child = self._child or self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        answer = None
        try:
            deadline = time.monotonic() + self._timeout_s
            if _write(child.stdin.fileno(), request + b"\n", deadline):
                answer = self._line(child.stdout.fileno(), deadline)
        except BrokenPipeError:
            pass
        if answer is None:
            self.end()
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
        )
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        return self._child

    def _line(self, fd: int, deadline: float) -> bytes | None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            end = self._read.find(b"\n")
            if end >= 0:
                line = bytes(self._read[:end])
                del self._read[: end + 1]
                return line
            wait_s = max(0.0, deadline - time.monotonic())
            if not poll.poll(wait_s * 1000) or not (data := os.read(fd, _PIECE_BYTES)):
                return None
            self._read += data

    def end(self) -> None:
        """Have the child end; a new one is made when one is needed."""
        child, self._child = self._child, None
        self._read.clear()
        if child is not None:
            with child:
                child.kill()


def _write(fd: int, data: bytes, deadline: float) -> bool:
    """Write all of it to a child that may have been stopped; False if that takes too long."""
    view, poll = memoryview(data), select.poll()
    poll.register(fd, select.POLLOUT)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
    return True
