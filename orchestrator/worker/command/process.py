"""One program that a worker has started: what it is fed, what it writes, and its end.

Called in the child. The main thread reads what the program writes, and another one feeds it: either
pipe may be full at any time, and with a thread for each nobody waits for the wrong one. The program
is in the worker's process group, so whatever ends the worker by force ends it, too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from subprocess import CalledProcessError
from typing import IO

from orchestrator.core.supervisor.policy import STOP_FOLLOWS_S, STOP_SIGNALS
from orchestrator.errors import Fault, MporchError
from orchestrator.kernel.calls import bounded, tie_to
from orchestrator.kernel.descendants import group_members, kill_kin

__all__ = ["CommandError", "Feeder", "Process", "feed"]

_READ_SIZE = 64 * 1024
_TAIL_SIZE = 4 * 1024
_TAIL_LINES = 5
_NO_SUCH_PROGRAM, _NOT_EXECUTABLE = 127, 126
_STDOUT, _STDERR = 1, 2
_LEAVE_S = 0.5
"""So long a program that may not be signalled has to end by itself: its pipes are closed."""


class Process:
    """A running program. `name` is how it is told to people.

    `terminal`: what it writes that is not read here goes to one, and from there to descriptor 1.

    `tied`: the kernel kills it with this process, even if nobody else is left to do so. That takes
    a fork, and some milliseconds, where otherwise a vfork does.

    Raises CommandError if it cannot be started.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        reads: bool,
        writes: bool,
        tied: bool,
        terminal: bool = False,
    ) -> None:
        self._name = name
        self._passes_to = _STDOUT if terminal else _STDERR
        ours, theirs = _terminal() if terminal else (-1, subprocess.PIPE)
        try:
            self._popen = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=subprocess.PIPE if writes else theirs if terminal else None,
                stderr=theirs,
                preexec_fn=tie_to(os.getpid()) if tied else None,  # noqa: PLW1509 -- two calls
            )
        except OSError as error:
            if terminal:
                os.close(ours)
            raise _not_started(name, error) from None
        finally:
            if terminal:
                os.close(theirs)
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._out = self._popen.stdout.fileno() if self._popen.stdout else -1
        self._err = ours if self._popen.stderr is None else self._popen.stderr.fileno()
        self._tail = b""
        self._told: set[int] = set()
        self._has_ended = self._is_immune = False
        self._poll = select.poll()
        for fd in (self._out, self._err, self._pidfd):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    @property
    def stdin(self) -> IO[bytes]:
        """Return where it reads; whoever writes closes it."""
        assert self._popen.stdin is not None
        return self._popen.stdin

    def output(self) -> Iterator[bytes]:
        """Yield what it writes, as it comes, until it has ended.

        What others that it has started write after its end is not waited for. What it writes to
        standard error goes to ours.
        """
        while not self._has_ended:
            if chunk := self._read():
                yield chunk
        if chunk := self._rest(self._out):
            yield chunk

    def check(self, exit_codes: Sequence[int]) -> None:
        """It has ended: raise CommandError unless it did by one of the codes."""
        self._write_error(self._rest(self._err))
        code = self._popen.wait()
        if code not in exit_codes:
            _wait_for_stop(code)
            raise CommandError(self._name, code, self._last_words())

    def close(self, signum: int, grace_s: float) -> None:
        """End it, if it has not ended: by the signal, and after the grace by SIGKILL.

        One that may not be signalled, as it has another user's rights, is left where it is: the
        orchestrator tells of it at the end of the run.
        """
        if self._popen.stdout:
            with suppress(KeyError):  # it had closed it itself
                self._poll.unregister(self._out)
            self._popen.stdout.close()
        if not self._has_ended:
            self._stop(signum, grace_s)
        if self._has_ended or not self._is_immune:
            self._popen.wait()
        if self._popen.stderr is None:
            os.close(self._err)
        else:
            self._popen.stderr.close()
        os.close(self._pidfd)

    def _read(self, timeout_s: float | None = None) -> bytes:
        """Wait for one thing to happen; return what was written if that was it."""
        found = b""
        wait_s = bounded(timeout_s)
        for fd, _ in self._poll.poll(None if wait_s is None else wait_s * 1000):
            if fd == self._pidfd:
                self._poll.unregister(fd)
                self._has_ended = True
            elif fd in self._told:
                self._poll.unregister(fd)
                self._told.discard(fd)
                os.close(fd)
            elif not (chunk := _chunk(fd, _READ_SIZE)):
                self._poll.unregister(fd)
            elif fd == self._out:
                found = chunk
            else:
                self._write_error(chunk)
        return found

    def _rest(self, fd: int) -> bytes:
        """Read what is left in a pipe, not to its end: others may hold the other side of it."""
        if fd < 0:
            return b""
        (n,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))
        return _chunk(fd, n) if n else b""

    def _write_error(self, chunk: bytes) -> None:
        """Pass on what it wrote to standard error, or its terminal, and keep the last of it."""
        self._tail = (self._tail + chunk)[-_TAIL_SIZE:]
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._passes_to, view) :]

    def _last_words(self) -> str:
        lines = self._tail.decode(errors="backslashreplace").strip().splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def _stop(self, signum: int, grace_s: float) -> None:
        """Tell it, and what it has started: a shell does not hand a signal on to a pipeline.

        What they say in their grace is passed on.
        """
        told = dict(_tell(signum))
        self._told = set(told.values())
        self._signal(0 if self._popen.pid in told else signum)
        for pidfd in self._told:
            self._poll.register(pidfd, select.POLLIN)
        if self._is_immune and not self._told:
            grace_s = min(grace_s, _LEAVE_S)
        end = time.monotonic() + grace_s
        while (self._told or not self._has_ended) and (left_s := end - time.monotonic()) > 0:
            self._read(left_s)
        self._write_error(self._rest(self._err))
        if not self._has_ended:
            self._signal(signal.SIGKILL)
        for pidfd in self._told:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)

    def _signal(self, signum: int) -> None:
        """Signal the program itself, or (0) only find out whether that is permitted."""
        with suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self._pidfd, signum)
            except PermissionError:
                self._is_immune = True


def _terminal() -> tuple[int, int]:
    """A terminal of the usual size: the end to read from, and the program's."""
    ours, theirs = os.openpty()
    os.set_inheritable(ours, False)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return ours, theirs


def _chunk(fd: int, most: int) -> bytes:
    """Some of what is there; empty at the end, which a terminal tells by an error."""
    try:
        return os.read(fd, most)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _wait_for_stop(code: int) -> None:
    """Wait a moment for this worker's own stop signal if a program was ended by one.

    Who stops all processes of a run reaches its programs before the worker as often as after it,
    and then the item has not failed. A shell tells its program's signal as 128 and its number.
    """
    if -code in STOP_SIGNALS or code - 128 in STOP_SIGNALS:
        select.poll().poll(STOP_FOLLOWS_S * 1000)  # the signal's handler raises


def _tell(signum: int) -> Iterator[tuple[int, int]]:
    """Signal a worker's own group but for the worker; yield the pid of each, and a pidfd.

    Where we lead no group, others are in it, too: nobody is signalled.
    """
    me = os.getpid()
    if os.getpgrp() != me:
        return
    for kin in group_members({me}):
        with suppress(PermissionError):
            if kin.pid != me and (pidfd := kill_kin(kin, signum)) is not None:
                yield kin.pid, pidfd


def _not_started(name: str, error: OSError) -> CommandError:
    hint = "hand the item over on standard input: stdin: text" if error.errno == errno.E2BIG else ""
    code = _NO_SUCH_PROGRAM if error.errno == errno.ENOENT else _NOT_EXECUTABLE
    return CommandError(name, code, f"cannot be started: {error.strerror}", hint=hint)


_LONGEST = 60


class CommandError(MporchError, CalledProcessError):
    """A command has ended with a status that is none of its `exit_codes`, or could not be started.

    `returncode` is the status, negative for the signal that has killed it; as for a shell, 127 says
    that there is no such program and 126 that it cannot be executed. `stderr` is the end of what it
    wrote there.
    """

    fault = Fault.TARGET

    def __init__(self, cmd: str, returncode: int, stderr: str = "", *, hint: str = "") -> None:
        CalledProcessError.__init__(self, returncode, cmd, None, stderr)
        self.hint = hint

    def __str__(self) -> str:
        name = self.cmd if len(self.cmd) <= _LONGEST else f"{self.cmd[: _LONGEST - 2]} …"
        said = self.stderr.strip()
        return f"{name}: {_how(self.returncode)}{': ' if said else ''}{said}"

    def __reduce__(self) -> tuple[type[CommandError], tuple[str, int, str]]:
        return type(self), (self.cmd, self.returncode, self.stderr)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


class Feeder:
    """Writes what there is to be read, each piece as it comes, and closes the pipe."""

    def __init__(self, pipe: IO[bytes], pieces: Iterable[bytes]) -> None:
        self._pipe = pipe
        self._pieces = pieces
        self._error: BaseException | None = None

    def start(self) -> None:
        """Write in a thread of its own, which may outlive the program if others hold its pipe."""
        threading.Thread(target=self.write, name="mporch-feeder", daemon=True).start()

    def write(self) -> None:
        """Write; that the program reads no more is its own affair.

        What goes wrong is noted before the pipe is closed: that may end the program, and then the
        main thread looks at once.
        """
        with contextlib.suppress(BrokenPipeError), self._pipe:
            try:
                for piece in self._pieces:
                    self._pipe.write(piece)
                    self._pipe.flush()
            except BrokenPipeError:
                raise
            except BaseException as error:  # noqa: BLE001 -- raised in the main thread
                self._error = error

    def check(self) -> None:
        """Raise what has kept the items from being written."""
        if self._error is not None:
            raise self._error


def feed(pipe: IO[bytes], pieces: Iterable[bytes]) -> Feeder:
    """Begin to write; what is known, and fits any pipe, needs no thread."""
    feeder = Feeder(pipe, pieces)
    if isinstance(pieces, list) and sum(map(len, pieces)) <= select.PIPE_BUF:
        feeder.write()
    else:
        feeder.start()
    return feeder
