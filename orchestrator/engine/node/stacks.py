"""Stacks of workers that go on, taken for their node: asked for by a signal, read from a pipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.stacks import ProgramState, ThreadStack, WorkerStack
from orchestrator.engine.node.crash import hears, threads_in
from orchestrator.engine.node.workerio import WorkerIO
from orchestrator.ipc.stacks import LOOK_SIGNAL, LOOK_SIGNALS, MARK_BYTES, is_whole
from orchestrator.kernel.calls import BIG_PIPE, SMALL_PIPE, resize_pipe
from orchestrator.kernel.descendants import descendants
from orchestrator.plan.model import Command

__all__ = ["Look", "Looks", "program_states"]

_MOST_S = 0.5
"""On a busy machine; on an idle one it takes a millisecond."""

_MOST_BYTES = 1 << 20
_READ = 64 * 1024
_MOST_PROGRAMS = 100
_STOPPED = frozenset("tT")
_IN_KERNEL = "D"


class Look:
    """One question for a worker's stack, from the signal to the end of what it writes.

    `fd` is what its answer comes by.
    """

    def __init__(self, worker: WorkerIO) -> None:
        self._worker = worker
        self._signal = 0
        self._said = b""
        self.fd = -1

    def ask(self) -> WorkerStack | None:
        """Send the signal; return an answer if there will be no other."""
        worker, process = self._worker, self._worker.process
        if isinstance(worker.job.target, Command) or process.stacks_fd is None:
            return self._stack(programs=program_states(process.pid))
        state = _state(process.pid)
        if state in _STOPPED:
            return self._stack(why=f"its process is stopped (state {state}): SIGCONT lets it go on")
        self.fd = process.stacks_fd
        said = _drained(self.fd)  # its mark, or what an earlier question was answered too late
        if not worker.mark:
            worker.mark = said[:MARK_BYTES].partition(b"\0")[0].decode("ascii", "replace")
        if not worker.mark:
            return self._stack(why="its process is being made: it runs no Python of its own yet")
        self._signal = worker.cell.words[LOOK_SIGNAL]
        if self._signal not in LOOK_SIGNALS:
            numbers = ", ".join(map(str, map(int, LOOK_SIGNALS)))
            return self._stack(why=f"its target has taken all signals it is asked by ({numbers})")
        if not hears(process.pid, self._signal, held=False):
            return self._stack(
                why=f"nobody hears signal {self._signal} in it: its target has executed another"
                " program, or given the signal another meaning"
            )
        resize_pipe(self.fd, BIG_PIPE)
        process.signal(self._signal)
        return self._stack(why="it may not be signalled") if process.unstoppable else None

    def read(self) -> WorkerStack | None:
        """Take what there is; return the answer if it is whole."""
        self._said += _drained(self.fd)
        text = self._said.decode("ascii", "replace")
        too_much = len(self._said) >= _MOST_BYTES
        if not (too_much or is_whole(text, self._worker.mark)):
            return None
        return self._told(text, "it writes without an end: this is how it begins" * too_much)

    def late(self) -> WorkerStack:
        """Return what there is by now, and why that may not be all."""
        state = _state(self._worker.process.pid)
        within = f"within {_MOST_S:g} s"
        if self._said:
            return self._told(self._said.decode("ascii", "replace"), "this may not be all of it")
        if state in _STOPPED:
            return self._stack(why=f"its process was stopped (state {state}) before it answered")
        if state == _IN_KERNEL:
            return self._stack(
                why=f"no answer {within}: it hangs in a call of the kernel (state D)"
            )
        return self._stack(
            why=f"no answer {within} to signal {self._signal}: its target has set a handler of its"
            " own for it, holds it back or has closed what is not its own, or the machine is"
            " overloaded"
        )

    def close(self) -> None:
        """It is answered."""
        if self.fd >= 0:
            resize_pipe(self.fd, SMALL_PIPE)

    def _told(self, text: str, why: str) -> WorkerStack:
        ident = self._worker.mark.partition("\n")[0]
        found = threads_in(text)
        threads = tuple(
            ThreadStack(
                name=thread.name or f"0x{thread.ident}",
                is_main=f"0x{thread.ident}" == ident,
                frames=tuple((file, _line(line), name) for file, line, name in thread.frames[::-1]),
            )
            for thread in found
            if thread.frames
        )
        if not why and self._signal != LOOK_SIGNALS[0]:
            why = f"asked by signal {self._signal}: its target has taken {int(LOOK_SIGNALS[0])}"
        elif not why and text.endswith("\n...\n"):
            why = f"it has more threads than the newest {len(found)}, which are all that are told"
        return self._stack(why=why, threads=threads, threads_ours=len(found) - len(threads))

    def _stack(
        self,
        *,
        why: str = "",
        threads: tuple[ThreadStack, ...] = (),
        threads_ours: int = 0,
        programs: tuple[ProgramState, ...] = (),
    ) -> WorkerStack:
        blame, at_item_s = self._worker.at()
        pid = self._worker.process.pid
        return WorkerStack(
            pid=pid,
            state=_state(pid),
            blame=blame,
            at_item_s=at_item_s,
            threads=threads,
            threads_ours=threads_ours,
            programs=programs,
            why=why,
        )


class Looks:
    """The questions that are not answered yet, by worker, each with a time limit."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[Look, float]] = {}

    def add(self, worker: str, look: Look, now: float) -> None:
        """It was asked just now."""
        self._looks[worker] = look, now + _MOST_S

    def remove(self, worker: str) -> Look | None:
        """It has answered, or is dead."""
        return self._looks.pop(worker, (None, 0.0))[0]

    def __contains__(self, worker: str) -> bool:
        return worker in self._looks

    @property
    def waits(self) -> bool:
        """True if anybody has not answered yet."""
        return bool(self._looks)

    def next_check(self) -> float | None:
        """Return when the first of them has had its time."""
        return min((until for _, until in self._looks.values()), default=None)

    def due(self, now: float) -> Iterator[tuple[str, Look]]:
        """Those that have had their time."""
        for worker, (look, until) in list(self._looks.items()):
            if until <= now:
                yield worker, look


def program_states(pid: int) -> tuple[ProgramState, ...]:
    """Return the processes that a worker has started, and those of them."""
    found = [
        ProgramState(pid=kin.pid, name=kin.name, state=_state(kin.pid))
        for kin in descendants(pid)[:_MOST_PROGRAMS]
        if not kin.zombie
    ]
    return tuple(found)


def _state(pid: int) -> str:
    """The kernel's letter for what a process does; empty if there is none. Source: proc(5)."""
    with contextlib.suppress(OSError, ValueError):
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat[stat.rindex(b")") + 2 :][:1].decode("ascii", "replace")
    return ""


def _line(text: str) -> int:
    return int(text) if len(text) < 10 else 0


def _drained(fd: int) -> bytes:
    """All that is in a pipe now; of one that is filled as fast as it is read, a piece."""
    said = bytearray()
    with contextlib.suppress(BlockingIOError):
        while len(said) < _MOST_BYTES and (piece := os.read(fd, _READ)):
            said += piece
    return bytes(said)
