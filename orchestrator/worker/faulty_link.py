"""A link with kill-points: a worker dies before, within or after the frame that a test names.

Called in the child. It is a module of its own since the link is compiled, so what inherits from it
has to be, too.
"""

from __future__ import annotations

import socket

from orchestrator.core.protocol.events import Blob
from orchestrator.core.protocol.messages import Commit, Committed, FromWorker, Pull, ToWorker
from orchestrator.ipc import wire
from orchestrator.worker.fault_injection import PLACE, InjectedFault, name_of
from orchestrator.worker.link import Link

__all__ = ["FaultyLink"]


class FaultyLink(Link):
    """A link that sends frame by frame and knows where it is."""

    def __init__(self, sock: socket.socket, fault: InjectedFault) -> None:
        super().__init__(sock)
        self._fault = fault
        self._frames: list[tuple[list[str], bytes]] = []
        self._unanswered: set[int] = set()

    def queue(self, message: FromWorker, blobs: tuple[Blob, ...] = ()) -> None:
        """See Link."""
        names = [name_of(type(message))]
        commit = message.commit if isinstance(message, Pull) else message
        if isinstance(message, Pull) and commit is not None:
            names.append(name_of(Commit))
            self._unanswered.add(message.pull)
        if isinstance(commit, Commit) and any(output.placed for output in commit.outputs):
            names.append(PLACE)
        self._frames.append((names, b"".join(wire.encode(message, blobs))))

    def flush(self) -> None:
        """See Link."""
        frames, self._frames = self._frames, []
        for names, frame in frames:
            self._fault.reached(*(f"w.{name}_before" for name in names))
            if self._fault.meets(*(f"w.{name}_torn" for name in names)):
                torn = self._fault.cut(frame)
                self.send([torn])
                self._fault.strike()
                self.send([frame[len(torn) :]])
            else:
                self.send([frame])
            self._fault.reached(*(f"w.{name}_sent" for name in names))

    def receive(self) -> list[tuple[ToWorker, tuple[Blob, ...]]]:
        """See Link."""
        frames = super().receive()
        for message, _ in frames:
            self._fault.reached(f"w.{name_of(type(message))}_received")
            if self._acknowledges(message):
                self._fault.reached("w.commit_acked")
        return frames

    def _acknowledges(self, message: ToWorker) -> bool:
        pull = getattr(message, "pull", None)
        if pull in self._unanswered:
            self._unanswered.discard(pull)
            return True
        return isinstance(message, Committed)
