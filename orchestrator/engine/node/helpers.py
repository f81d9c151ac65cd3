"""Multiprocessing's two helper processes, the forkserver and the resource tracker, under control.

Both are singletons whose state has no public face, so all that the parent does with private names
of `multiprocessing` is in this file.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing.process
import os
import select
import signal
from collections.abc import Sequence
from multiprocessing import (
    context,
    forkserver,
    popen_forkserver,
    reduction,
    resource_tracker,
    spawn,
    util,
)
from pathlib import Path
from typing import Any

from orchestrator.kernel.descendants import look_up
from orchestrator.kernel.limits import REFUSALS

__all__ = [
    "Creator",
    "ForkRequest",
    "ForkServer",
    "ResourceTracker",
    "ask_for",
    "disown",
    "has_ended",
    "release",
    "use_directory",
]


class Creator:
    """A forkserver as the workers it made see it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._refused = 0

    def has_died(self, *, wait_s: float = 0.0) -> bool:
        """Return whether it is dead, after waiting for that for at most `wait_s` seconds.

        Its workers then die of their parent death signal, and are children of this subreaper.
        """
        died = has_ended(self.pidfd, wait_s=wait_s)
        if died and not self._refused:  # while it is a zombie: the next start reaps it
            with contextlib.suppress(ChildProcessError):
                found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is not None and found.si_code == os.CLD_EXITED:
                    self._refused = found.si_status if found.si_status in REFUSALS else 0
        return died

    def is_reaped(self) -> bool:
        """Return whether it is dead and reaped: its number may be another process's by now."""
        if not self.has_died():
            return False
        try:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return False

    def refused(self, *, wait_s: float = 0.0) -> int:
        """Return the errno of `forkserver_preload` if the system gave no more processes, or 0.

        Waits for its death for at most `wait_s` seconds.
        """
        self.has_died(wait_s=wait_s)
        return self._refused

    def close(self) -> None:
        """Give up the pidfd."""
        os.close(self.pidfd)


class ForkServer:
    """The forkserver: started when first needed, and anew when it was found dead.

    `preload` names the modules it imports, so that no worker need do so again.
    """

    def __init__(self, preload: Sequence[str]) -> None:
        module: Any = forkserver
        self._server = module._forkserver
        pid = self._server._forkserver_pid
        if pid is not None and not _is_child(pid):
            self._server.__init__()  # came through a fork: another process's, not ours to use
        self._preload = list(preload)
        self._server.set_forkserver_preload(self._preload)
        self._creators: list[Creator] = []

    @property
    def pid(self) -> int | None:
        """The pid of the last one started; None before.

        Multiprocessing starts one by itself, too: when the last has died just before a request.
        """
        pid: int | None = self._server._forkserver_pid
        return pid

    def ensure(self) -> Creator:
        """Return the running forkserver, after starting one if there is none."""
        try:
            self._server.ensure_running()
        except ChildProcessError:  # dead, and reaped by another hand: it would never be replaced
            os.close(self._server._forkserver_alive_fd)
            self._server.__init__()
            self._server.set_forkserver_preload(self._preload)
            self._server.ensure_running()
        creator = self._last()
        assert creator is not None
        return creator

    def _last(self) -> Creator | None:
        """The last one started, by whomever; None if there was none, or it is dead and reaped."""
        pid = self.pid
        if pid is None:
            return None
        last = self._creators[-1] if self._creators else None
        if last is None or last.pid != pid or last.is_reaped():
            if not _is_child(pid):
                return None
            last = Creator(pid)
            self._creators.append(last)
        return last

    def has_ended(self, *, wait_s: float) -> bool:
        """Return whether the last one started is dead, after waiting for that for `wait_s`."""
        last = self._last()
        return last is None or last.has_died(wait_s=wait_s)

    def refused(self, *, wait_s: float) -> int:
        """Return the errno the last one started has ended with, as `Creator.refused` does."""
        return self._creators[-1].refused(wait_s=wait_s) if self._creators else 0

    def kill(self) -> None:
        """Kill the last one started, and with it its workers; nothing happens if it is dead."""
        if (last := self._last()) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(last.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Kill it, and with it every worker it made that is still there.

        The polite way, to close its descriptor and wait, hangs as long as any daemon of a target
        holds a copy of that descriptor.
        """
        if self._server._forkserver_pid is None:
            return
        if (last := self._last()) is not None:
            _end(last.pid, last.pidfd)
        os.close(self._server._forkserver_alive_fd)
        Path(self._server._forkserver_address).unlink(missing_ok=True)
        self._server.__init__()
        while self._creators:
            self._creators.pop().close()


class ForkRequest(popen_forkserver.Popen):
    """What the forkserver is asked for, which nobody waits for: a process and its order.

    `sentinel` becomes readable when it answers or ends, `order_fd` writable while not all of the
    order is written (else it is None); then `go_on` takes it further.
    """

    pid: int  # 0 until the forkserver has answered
    order_fd: int | None
    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        module: Any = util
        self.pid, self.order_fd = 0, None
        del process_obj._Popen
        order = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process_obj._name), order)
            reduction.dump(process_obj, order)
        finally:
            context.set_spawning_popen(None)
        self._rest = order.getbuffer()
        self.sentinel, self.order_fd = forkserver.connect_to_new_process(self._fds)
        # Its child takes the end of this pipe for the end of its parent.
        alive = os.dup(self.order_fd)
        self.finalizer = util.Finalize(self, module.close_fds, (alive, self.sentinel))
        os.set_blocking(self.order_fd, False)
        os.set_blocking(self.sentinel, False)

    def go_on(self) -> bool:
        """Write and read what goes at once; whether the process is there and has its order.

        Raises BrokenPipeError if the process has ended without reading it, EOFError if the
        forkserver has ended without an answer.
        """
        self._write()
        if not self.pid:
            with contextlib.suppress(BlockingIOError):
                told = os.read(self.sentinel, forkserver.SIGNED_STRUCT.size)
                if len(told) < forkserver.SIGNED_STRUCT.size:
                    raise EOFError("unexpected EOF")
                self.pid = forkserver.SIGNED_STRUCT.unpack(told)[0]
        return self.pid != 0 and self.order_fd is None

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.order_fd is not None:
                self._rest = self._rest[os.write(self.order_fd, self._rest) :]
                if not self._rest:
                    self._close_order()

    def _close_order(self) -> None:
        if self.order_fd is not None:
            os.close(self.order_fd)
            self.order_fd = None

    def close(self) -> None:
        """Close every descriptor; what is not written is never read."""
        self._close_order()
        super().close()


def ask_for(process: multiprocessing.process.BaseProcess) -> ForkRequest:
    """Start a process of the forkserver's without waiting for it.

    With Python 3.14 and newer a forkserver that hangs may be waited for all the same: it is asked
    for its key first.
    """
    asked: Any = process
    asked._Popen = ForkRequest
    process.start()
    request: ForkRequest = asked._popen
    return request


class ResourceTracker:
    """The process that unlinks the shared memory and semaphores that targets leave behind."""

    def __init__(self) -> None:
        module: Any = resource_tracker
        self._tracker = module._resource_tracker

    @property
    def pid(self) -> int | None:
        """Its pid, if it runs and is a child of this process."""
        pid: int | None = self._tracker._pid
        return pid if pid is not None and _is_child(pid) else None

    def close(self, *, within_s: float) -> None:
        """Let it clean up and end: it does when nobody holds its pipe; kill it after `within_s`."""
        if (pid := self.pid) is None:
            return
        pidfd = os.pidfd_open(pid)
        try:
            os.close(self._tracker._fd)
            self._tracker._fd = self._tracker._pid = None
            has_ended(pidfd, wait_s=within_s)
            _end(pid, pidfd)
        finally:
            os.close(pidfd)


def disown(process: multiprocessing.process.BaseProcess) -> None:
    """Take a started process off multiprocessing's list of children.

    Each start polls everybody on that list, and the interpreter's exit waits for them without end.
    """
    children: Any = multiprocessing.process._children  # type: ignore[attr-defined]
    children.discard(process)


def release(process: multiprocessing.process.BaseProcess) -> None:
    """Close a process's descriptors, whatever multiprocessing believes about its life."""
    popen: Any = process._popen  # type: ignore[attr-defined]
    popen.close()


def use_directory(directory: str | None) -> str | None:
    """Have multiprocessing put its sockets into `directory`; return the one it had before."""
    config: Any = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    before: str | None = config.get("tempdir")
    config["tempdir"] = directory
    return before


def has_ended(pidfd: int, *, wait_s: float) -> bool:
    """Return whether the process has ended, after waiting for it for at most `wait_s` seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))


def _end(pid: int, pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _is_child(pid: int) -> bool:
    kin = look_up(pid)
    return kin is not None and kin.parent == os.getpid()
