"""A worker as the orchestrator sees it: a process, its descriptors, its signals, its end. Linux."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from orchestrator.core.protocol.messages import Failure
from orchestrator.engine.node.helpers import Creator, has_ended, release
from orchestrator.kernel.descendants import look_up
from orchestrator.kernel.limits import in_words
from orchestrator.plan.model import StartMethod

__all__ = ["Ends", "WorkerProcess"]


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The parent's end of each of what connects it with a worker, but for its channel."""

    log_sock: socket.socket
    stdout_fd: int
    stderr_fd: int
    stacks_fd: int | None
    cell: mmap.mmap


class WorkerProcess:
    """One worker as the orchestrator sees it. All of it is called in the parent.

    `log_sock` is our end of a SEQPACKET pair that carries one log record a datagram, `stdout_fd`
    and `stderr_fd` the read ends of its capture pipes, `stacks_fd` that of the pipe by which it
    shows its stacks (`ipc/stacks.py`), if it does; none of them blocks. `cell` is the progress
    cell, shared with the worker. `key` is in the marks that it writes.

    `pidfd` is None only if the process had ended and been reaped before it could be opened.
    `death_fd` becomes readable when the process has ended; `exit_code` then says how.
    `unstoppable`: a signal was refused, since the process has become another user's.
    """

    def __init__(
        self,
        *,
        name: str,
        method: StartMethod,
        process: BaseProcess,
        creator: Creator | None,
        ends: Ends,
        key: str,
    ) -> None:
        assert process.pid is not None
        self.name = name
        self.start_method = method
        self.pid = process.pid
        self.key = key
        self.log_sock = ends.log_sock
        self.stdout_fd = ends.stdout_fd
        self.stderr_fd = ends.stderr_fd
        self.stacks_fd = ends.stacks_fd
        self.cell = ends.cell
        self._process = process
        self._creator = creator
        self.unstoppable = False
        self._exit_code: int | None = None
        self.pidfd = _open_pidfd(self.pid, creator.pid if creator else os.getpid())

    @property
    def death_fd(self) -> int:
        """The descriptor that becomes readable when the process has ended."""
        return self._process.sentinel if self.pidfd is None else self.pidfd

    def has_ended(self) -> bool:
        """Return whether the process is dead, a zombie included."""
        return self._exit_code is not None or has_ended(self.death_fd, wait_s=0.0)

    def usage(self) -> tuple[float, int] | None:
        """Return its processor seconds and resident bytes; None if it has ended."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
            if not self.has_ended():  # nobody else has had its number when it was read
                fields = stat[stat.rindex(b")") + 2 :].split()
                ticks = int(fields[11]) + int(fields[12])
                return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * mmap.PAGESIZE
        return None

    def creator_died(self) -> bool:
        """Return whether the forkserver that made this worker is dead: nobody else is to blame."""
        return self._creator is not None and self._creator.has_died()

    def creator_refused(self) -> Failure | None:
        """Return why that forkserver has ended, if the system gave it no more processes."""
        number = self._creator.refused() if self._creator is not None else 0
        return Failure(kind="OSError", message=in_words(number)) if number else None

    def signal(self, signum: int) -> None:
        """Send `signum` to the process itself; nothing happens if it has ended."""
        if self.pidfd is not None:
            try:
                signal.pidfd_send_signal(self.pidfd, signum)
            except ProcessLookupError:
                return
            except PermissionError:  # it has executed a setuid program
                self.unstoppable = True

    def kill_group(self) -> bool:
        """Send SIGKILL to the process and to everybody in its process group.

        Returns False if the process has ended: its group's number, `pid`, may have passed to
        another, and who is left in the group is to be looked for (`descendants.kill_groups`).
        """
        if self.has_ended():
            return False
        # Not there yet if the child has not come so far; then it is alone in any case.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)
        return True

    def exit_code(self, *, wait_s: float = 0.5) -> int | None:
        """Return the exit code, negative for a signal; call it when `death_fd` is readable.

        A forkserver tells it a moment after the death, which is waited for, at most `wait_s`
        seconds. None if it cannot be known.
        """
        if self._exit_code is None:
            self._exit_code = self._own_exit_code()
        if self._exit_code is None and self.start_method is StartMethod.FORKSERVER:
            self._exit_code = self._told_exit_code(wait_s)
        return self._exit_code

    def _own_exit_code(self) -> int | None:
        """Reap the process if it is our child: made by us, or adopted from a dead forkserver."""
        if self.pidfd is None:
            return None
        try:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return None
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def _told_exit_code(self, wait_s: float) -> int | None:
        """Read what the forkserver reports; a dead one reports nothing: its child is ours."""
        sentinel = self._process.sentinel
        poll = select.poll()
        poll.register(sentinel, select.POLLIN)
        if not poll.poll(wait_s * 1000):
            return None
        told = os.read(sentinel, 8)
        if len(told) == 8:
            return int.from_bytes(told, sys.byteorder, signed=True)
        # Its files close before its children pass to us.
        if self._creator is not None and self._creator.has_died(wait_s=wait_s):
            return self._own_exit_code()
        return None

    def close(self) -> None:
        """Close every descriptor of the worker, which must have ended. Called once."""
        self.log_sock.close()
        self.cell.close()
        for fd in (self.stdout_fd, self.stderr_fd, self.stacks_fd, self.pidfd):
            if fd is not None:
                os.close(fd)
        release(self._process)


def _open_pidfd(pid: int, creator_pid: int) -> int | None:
    """Open the process that `creator_pid` made; None if it has ended and been reaped."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    kin = look_up(pid)
    # A forkserver that has died since then left its child to this process.
    if kin is not None and kin.parent in (creator_pid, os.getpid()):
        return pidfd
    os.close(pidfd)
    return None
