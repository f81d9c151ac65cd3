"""The broker of standalone queues: a process of its own, around the same core as a run's.

It has no user, no terminal and no name in the file system; it ends when the last socket of those
who use it is closed, however they ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import JobState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.commands import Send
from orchestrator.core.protocol.events import (
    BrokerNews,
    Event,
    Received,
    Ticked,
    WorkerJoined,
    WorkerLeft,
    whole,
)
from orchestrator.core.protocol.messages import (
    Ask,
    Commit,
    CommitStatus,
    Committed,
    FromWorker,
    Leased,
    Pull,
    Wait,
    Want,
)
from orchestrator.engine.channels import READ_SIZE, Channel
from orchestrator.features.standalone.pages import (
    JOIN,
    NEW_QUEUE,
    SEALS,
    WATCH,
    SizePage,
    read_acks,
)
from orchestrator.ipc import wire
from orchestrator.kernel.calls import bounded, keep_freed_memory

__all__ = ["main"]

_ANYBODY: Final = "anybody"
_MOST_OPEN: Final = 1 << 16
"""Pulls and leases of a process: it may read many queues, each in several threads."""
_READ: Final = select.EPOLLIN
_IN_TURN: Final = select.EPOLLIN | select.EPOLLET
"""Streams become ready in the order in which something came: whoever puts after he was told that
another has put is heard after him. Level-triggered ones keep the places they had before."""
_BOTH: Final = _IN_TURN | select.EPOLLOUT

_READS_OF_ALL: Final = 64
"""So many hold more than a socket does: who sends without a pause is not heard for ever."""


class _Member:
    """One process: its stream, its page of acks, its pidfd and the events it waits for.

    `received` counts what it has put, by queue.
    """

    def __init__(self, name: str, id_: int, fds: list[int]) -> None:
        stream, page, pidfd = fds
        self.name = name
        self.id = id_
        self.received: Counter[str] = Counter()
        self.events: list[int] = []
        self.sock = socket.socket(fileno=stream)
        self.sock.setblocking(False)
        self.channel = Channel(self.sock)
        self.page = mmap.mmap(page, 0, prot=mmap.PROT_READ)
        os.close(page)
        self.pidfd = pidfd


class Server:
    """The loop: descriptors in, events to the broker, its orders out."""

    def __init__(self, control: socket.socket) -> None:
        self._job = JobState(
            _ANYBODY, (), (), by_item=False, can_unblock=False, most_open=_MOST_OPEN
        )
        self._broker = Broker((), (self._job,), ack_on_get=True)
        self._poll = select.epoll()
        self._acts: dict[int, Callable[[], object]] = {}
        self._members: dict[str, _Member] = {}
        self._to_send: dict[_Member, None] = {}
        self._awaited: dict[_Member, None] = {}
        """Those of them to whom items are to be sent, which they wait for."""
        self._over: list[socket.socket | int] = []
        self._watched: dict[str, dict[int, bool]] = {}
        self._sizes: dict[str, SizePage] = {}
        self._kept: set[str] = set()
        self._joined = 0
        self._buffer = memoryview(bytearray(READ_SIZE))
        control.setblocking(False)
        self._control: socket.socket | None = control
        self._watch(control, self._read_control)

    def run(self) -> None:
        """Serve until nobody is left."""
        while self._acts:
            deadline = self._broker.next_deadline()
            wait_s = bounded(None if deadline is None else deadline - time.monotonic())
            for fd, _ in self._poll.poll(wait_s):
                if act := self._acts.get(fd):
                    act()
            if deadline is not None and deadline <= time.monotonic():
                self._handle(Ticked())
            self._note_pages()
            self._send()
            if self._over:
                self._close()

    # -- descriptors ------------------------------------------------------------------------------

    def _watch(
        self, source: socket.socket | int, act: Callable[[], object], events: int = _READ
    ) -> None:
        fd = source if isinstance(source, int) else source.fileno()
        self._acts[fd] = act
        self._poll.register(fd, events)

    def _unwatch(self, source: socket.socket | int) -> None:
        fd = source if isinstance(source, int) else source.fileno()
        if self._acts.pop(fd, None):
            self._poll.unregister(fd)
            self._over.append(source)

    def _close(self) -> None:
        """Only between two polls, so that no event is taken for that of a descriptor's heir."""
        for source in self._over:
            if isinstance(source, int):
                os.close(source)
            else:
                source.close()
        self._over.clear()

    # -- queues -----------------------------------------------------------------------------------

    def _read_control(self) -> None:
        while self._control is not None:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, NEW_QUEUE.size, 2)
            except BlockingIOError:
                return
            if not data:
                self._unwatch(self._control)
                self._control = None
                return
            number, maxsize = NEW_QUEUE.unpack(data)
            queue = QueueState(f"q{number}", maxsize, (_ANYBODY,), (_ANYBODY,))
            self._broker.add_queue(queue, self._job)
            self._sizes[queue.name] = SizePage(fds[1])
            token = socket.socket(fileno=fds[0])
            token.setblocking(False)
            self._watch(token, lambda q=queue.name, t=token: self._read_token(q, t))  # type: ignore[misc]

    def _read_token(self, queue: str, token: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(token, 16, 3)
        except BlockingIOError:
            return
        if data:
            if len(data) == WATCH.size:
                self._watch_for(WATCH.unpack(data)[1], queue, fds)
            else:
                self._join(JOIN.unpack(data[: JOIN.size].ljust(JOIN.size))[1], fds)
            return
        self._unwatch(token)
        for member in list(self._members.values()):
            self._hear_out(member)
        self._watched.pop(queue, None)
        self._kept.discard(queue)
        self._sizes.pop(queue).close()
        self._broker.remove_queue(queue, self._job)

    # -- processes --------------------------------------------------------------------------------

    def _watch_for(self, id_: int, queue: str, fds: list[int]) -> None:
        """Keep a process's event readable from now on while the queue has items."""
        member = next((m for m in self._members.values() if m.id == id_), None)
        if member is None or not fds:
            for fd in fds:
                os.close(fd)
            return
        member.events += fds
        self._watched.setdefault(queue, {})[fds[0]] = False

    def _note_pages(self) -> None:
        """Before anything is sent: who has got the last item must find page and event as it is."""
        for name in self._kept:
            self._note_size(name)
        if self._watched:
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        for name, events in self._watched.items():
            queue = self._broker.queues.get(name)
            has_items = queue is not None and queue.queued > 0
            for event, told in events.items():
                if told is not has_items:
                    events[event] = has_items
                    with contextlib.suppress(OSError):  # who has read it has told itself
                        if has_items:
                            os.eventfd_write(event, 1)
                        else:
                            os.eventfd_read(event)

    def _join(self, id_: int, fds: list[int]) -> None:
        if len(fds) < 3 or not _is_sealed(fds[1]):
            # No descriptor was left for them, or they are none of ours: the stream's end tells it.
            for fd in fds:
                os.close(fd)
            return
        self._joined += 1
        member = _Member(f"process-{self._joined}", id_, fds)
        self._members[member.name] = member
        self._handle(WorkerJoined(worker=member.name, job=_ANYBODY))
        self._watch(member.sock, partial(self._read, member), _IN_TURN)
        self._watch(member.pidfd, lambda: self._died(member))

    def _read(self, member: _Member) -> bool:
        """Read once; whether something was there. What is no protocol ends the membership."""
        channel = member.channel
        frames = None
        try:
            frames = channel.read(self._buffer)
            for message, blobs in frames or ():
                self._look_at(member, message)
                event = Received(worker=member.name, message=message, blobs=blobs)
                try:
                    self._handle(event)
                except ProtocolError:
                    self._read_control()  # it may speak of a queue that is news to us
                    self._handle(event)
                if self._awaited:
                    self._answer()
        except (wire.FrameError, ProtocolError) as error:
            sys.stderr.write(f"mporch: a process's queues are cut off: {error}\n")
            channel.at_end = True
        if channel.at_end:
            self._leave(member)
        elif channel.blocked:
            self._to_send[member] = None
        if channel.filled and not channel.at_end:
            self._poll.modify(member.sock, _BOTH if channel.blocked else _IN_TURN)  # tell me again
        return frames is not None

    def _look_at(self, member: _Member, message: FromWorker) -> None:
        """Count what is put; who asks for a size, or will not wait, gets it from the page next."""
        kind = type(message)
        if kind is Commit:
            self._count(member, message)  # type: ignore[arg-type]
            return
        if kind is Ask or kind is Want:
            self._look_at_acks(message.queue)  # type: ignore[union-attr]
        if kind is Ask or getattr(message, "wait", None) is Wait.NO:
            names = message.queues if kind is Pull else (message.queue,)  # type: ignore[union-attr]
            self._kept.update(name for name in names if name in self._sizes)
        if kind is Pull and message.commit is not None:  # type: ignore[union-attr]
            self._count(member, message.commit)  # type: ignore[union-attr]

    def _count(self, member: _Member, commit: Commit) -> None:
        for output in commit.outputs:
            for name in output.queues:
                member.received[name] += output.n

    def _note_size(self, name: str) -> None:
        queue = self._broker.queues[name]
        self._sizes[name].note(queue.put, queue.queued, queue.size)

    def _look_at_acks(self, name: str) -> None:
        """Acks on their way count already: `qsize`, `full` and `put_nowait` are exact."""
        queue = self._broker.queues.get(name)
        if queue is not None and queue.hidden:
            for worker in self._broker.readers_of(name):
                self._broker.note_taken(worker, read_acks(self._members[worker].page))

    def _hear_out(self, member: _Member) -> None:
        """Read all that was sent so far."""
        for _ in range(_READS_OF_ALL):
            if not self._read(member) or member.channel.at_end:
                return

    def _died(self, member: _Member) -> None:
        self._hear_out(member)
        self._leave(member)

    def _leave(self, member: _Member) -> None:
        if self._members.pop(member.name, None) is None:
            return
        self._unwatch(member.sock)
        self._unwatch(member.pidfd)
        self._to_send.pop(member, None)
        self._awaited.pop(member, None)
        for event in member.events:
            for events in self._watched.values():
                events.pop(event, None)
            os.close(event)
        for name, sizes in self._sizes.items():
            sizes.leave(member.id, member.received[name])
        taken = read_acks(member.page)
        member.page.close()
        self._handle(WorkerLeft(worker=member.name, returned=True, taken=taken))

    # -- orders -----------------------------------------------------------------------------------

    def _handle(self, event: Event | BrokerNews) -> None:
        for order in self._broker.handle(event, time.monotonic()):
            if type(order) is Send and (member := self._members.get(order.worker)):
                message = order.message
                if type(message) is Committed and message.status is CommitStatus.APPLIED:
                    continue  # who puts only what it has credit for waits for no such answer
                member.channel.send(message, tuple(map(whole, order.blobs)))
                self._to_send[member] = None
                if type(message) is Leased:
                    self._awaited[member] = None

    def _answer(self) -> None:
        """Send items at once: who waits for them does not wait until all others are heard."""
        self._note_pages()
        for member in self._awaited:
            self._flush(member)
        self._awaited.clear()

    def _flush(self, member: _Member) -> None:
        if member.channel.flush():
            self._poll.modify(member.sock, _BOTH if member.channel.blocked else _IN_TURN)

    def _send(self) -> None:
        sending, self._to_send = self._awaited | self._to_send, {}
        self._awaited.clear()
        for member in sending:
            self._flush(member)
            if member.channel.is_overfull:
                sys.stderr.write("mporch: a process asks, and reads no answer: it is cut off\n")
                self._leave(member)


def _is_sealed(page: int) -> bool:
    """True if what is to be a page can be mapped, and nobody can cut it off."""
    try:
        return fcntl.fcntl(page, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        return False


def main(fd: int) -> None:
    """Called in the broker's process."""
    keep_freed_memory()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    Path("/proc/self/comm").write_text("mporch-queues")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.set_inheritable(fd, False)
    Server(socket.socket(fileno=fd)).run()
