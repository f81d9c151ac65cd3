"""Client of a run's control socket: connects, asks, and waits for answers or the run's end."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections import deque
from types import TracebackType

from orchestrator.control import protocol
from orchestrator.control.protocol import (
    GREETING,
    SOCKET_NAME,
    VERSION,
    Answer,
    FrameError,
    Picture,
    Refusal,
    Request,
    Welcome,
)
from orchestrator.core.samples import Header, fits, has_possible_numbers
from orchestrator.errors import UsageError
from orchestrator.files import open_directory
from orchestrator.runlog.directory import RunDirectory

__all__ = ["ControlClient", "ControlError", "RunGoneError"]

_PATIENCE_S = 10.0
"""For an answer that takes no time: the loop of a run is at work, or its disk is full."""
_READ_BYTES = 1 << 16
_CREDENTIALS = struct.Struct("3i")


class ControlError(UsageError):
    """The run goes on, and cannot be asked."""


class RunGoneError(ControlError):
    """The run has ended, or ends: nobody answers any more."""


class ControlClient:
    """A connection to the run in a directory; a context manager. All methods raise ControlError."""

    def __init__(self, run: RunDirectory, *, patience_s: float = _PATIENCE_S) -> None:
        self._run = run
        self._patience_s = patience_s
        self._frames = protocol.answers()
        self._answers: deque[Answer] = deque()
        self._sock = _connected(run, patience_s)
        try:
            self._send(GREETING)
            found = self.receive(patience_s)
            if found is None:
                raise self.silent(patience_s)
            if not isinstance(found, Welcome):
                raise self._error("answers in another way than expected")
        except BaseException:
            self._sock.close()
            raise
        self.header: Header = found.header

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._sock.close()

    @property
    def pid(self) -> int | None:
        """The orchestrator's process; None where the kernel does not tell, as across containers."""
        pid, _ = self._peer()
        return pid if pid > 0 else None

    def fileno(self) -> int:
        """Return what is readable when there is something to `receive`."""
        return self._sock.fileno()

    def ask(self, request: Request, *, patience_s: float | None = None) -> Answer:
        """Send a request and return its answer. A refusal is raised as ControlError."""
        self.send(request)
        limit_s = self._patience_s if patience_s is None else patience_s
        answer = self.receive(limit_s)
        if answer is None:
            raise self.silent(limit_s)
        return answer

    def send(self, request: Request) -> None:
        """Send a request; `receive` returns what is answered."""
        self._send(protocol.encode(request))

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data, socket.MSG_NOSIGNAL)  # commands leave SIGPIPE as it was
        except TimeoutError:
            raise self._error("does not read what it is asked") from None
        except OSError:
            raise self._gone() from None

    def receive(self, patience_s: float | None) -> Answer | None:
        """Return the next answer; None if there is none in so many seconds.

        None of them: without end. A refusal is raised as ControlError, the run's end as
        RunGoneError.
        """
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while not self._answers:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._sock], [], [], left_s)[0]:
                return None
            self._read()
        answer = self._answers.popleft()
        if isinstance(answer, Refusal):
            raise ControlError(answer.why, hint=answer.hint)
        return answer

    def picture_in(self, answer: Answer) -> Picture:
        """Return the picture that an answer is. Raises ControlError if it is none of this run."""
        if not isinstance(answer, Picture):
            raise self._error("answers in another way than expected")
        for sample in (answer.before, answer.sample):
            if not (fits(sample, self.header) and has_possible_numbers(sample)):
                raise self._error("answers with a picture that is not its own")
        return answer

    def silent(self, patience_s: float) -> ControlError:
        """Return the error that the run has not answered for so long."""
        return self._error(f"does not answer within {patience_s:g} s: it is very busy, or stopped")

    def wait_for_end(self) -> None:
        """Wait until the run's process is gone, or as long as the connection, where it is unknown.

        The run's last files are written then.
        """
        pid = self.pid
        fd = None
        if pid is not None:
            with contextlib.suppress(OSError):  # it is gone already
                fd = os.pidfd_open(pid)
        try:
            # Its number cannot have been given to another while it still has the connection.
            if fd is not None and not self._is_at_end():
                select.select([fd], [], [])
        finally:
            if fd is not None:
                os.close(fd)
        while not self._is_at_end(wait=True):
            pass

    def _is_at_end(self, *, wait: bool = False) -> bool:
        """True if the other side has closed; what it has sent before is passed over."""
        while select.select([self._sock], [], [], None if wait else 0)[0]:
            try:
                if not self._sock.recv(_READ_BYTES):
                    return True
            except OSError:
                return True
        return False

    def _read(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise self._gone()
        try:
            self._answers += self._frames.feed(data)
        except FrameError as error:
            raise self._error(f"answers what cannot be read: {error}") from error
        greeting = self._frames.greeting
        if greeting not in (None, GREETING):
            version = protocol.version_of(greeting or b"")
            raise ControlError(
                f"run {self._run.run_id} is that of another version of mporch: its control socket "
                f"speaks version {version}, this mporch version {VERSION}",
                hint="use the mporch that runs it",
            )

    def _peer(self) -> tuple[int, int]:
        """Return the process and the user at the other end."""
        data = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(data)
        return pid, uid

    def _gone(self) -> ControlError:
        is_others = self._peer()[1] != os.geteuid()
        if is_others and self._frames.greeting is None and self._run.is_alive:
            return _of_another(self._run)
        return RunGoneError(f"run {self._run.run_id} has ended just now")

    def _error(self, what: str) -> ControlError:
        return ControlError(
            f"run {self._run.run_id} {what}",
            hint=f"its log says more: mporch logs {self._run.run_id} -n 20",
        )


def _connected(run: RunDirectory, patience_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.settimeout(patience_s)
    try:
        with open_directory(run.path, follow=True) as here:
            sock.connect(f"/proc/self/fd/{here}/{SOCKET_NAME}")
    except OSError as error:
        sock.close()
        raise _why_not(run, error) from None
    return sock


def _why_not(run: RunDirectory, error: OSError) -> ControlError:
    if not run.is_alive:
        return RunGoneError(f"run {run.run_id} has ended", hint=f"mporch show {run.run_id}")
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return ControlError(
            f"run {run.run_id} is going on, and has no control socket",
            hint="it begins or ends just now, it is that of an older mporch, or the file system "
            "of its directory has no sockets",
        )
    if isinstance(error, PermissionError):
        return _of_another(run)
    reason = error.strerror or "it does not answer"
    return ControlError(f"cannot ask run {run.run_id}: {reason}")


def _of_another(run: RunDirectory) -> ControlError:
    message = f"run {run.run_id} is that of another user: its control socket is shut"
    return ControlError(message, hint="ask as its user")
