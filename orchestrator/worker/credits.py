"""Credits of a worker: how many items it may put without asking, and queues that are shut."""

from __future__ import annotations

from orchestrator.errors import ShutDown

__all__ = ["QueueCredits"]


class QueueCredits:
    """The credits of the queues of one outbox, and which of them nobody reads any more (rule 4)."""

    def __init__(self, queues: tuple[str, ...]) -> None:
        self.of = dict.fromkeys(queues, 0)
        self.closed: set[str] = set()
        self.reader_returned = True
        """The job that read them last has returned: it was not cut off, and has not failed."""
        self._last_reader = ""

    @property
    def shut(self) -> bool:
        """True if nobody reads any of the queues any more."""
        return len(self.closed) == len(self.of)

    @property
    def least(self) -> int | None:
        """Return how many items all the queues that are read have credit for; None if none is."""
        if not self.closed:
            return min(self.of.values())
        return min((n for queue, n in self.of.items() if queue not in self.closed), default=None)

    def spend(self, n: int) -> None:
        """So many items are sent on every queue."""
        for queue in self.of:
            self.of[queue] -= n

    def lacking(self, count: int) -> list[str]:
        """The queues without credit for one more than so many."""
        return [queue for queue, n in self.of.items() if n <= count and queue not in self.closed]

    def close(self, queue: str, reader: str, *, returned: bool) -> None:
        """Nobody reads the queue any more; the job `reader` was the last that did."""
        self.closed.add(queue)
        if self.reader_returned:  # of several that are shut, a failure is what is told
            self._last_reader, self.reader_returned = reader, returned

    def shut_down(self) -> ShutDown:
        """Return what whoever puts is told once nobody reads any of the queues any more."""
        text, hint, reader = "no consumer is left", "", self._last_reader
        if reader and self.reader_returned:
            text += f": job {reader!r} has returned, though not all was put yet"
            hint = (
                f"let {reader!r} read to the end (`for item in q`); if it reads until it finds the"
                " queue empty, start it `after:` its writer, and let maxsize hold all that is put"
            )
        elif reader:
            text += f": job {reader!r} has failed, or was cut off itself"
        queues = list(self.of)
        what = f"queue {queues[0]!r} is"
        if len(queues) > 1:
            what = f"queues {' and '.join(map(repr, queues))} are"
        failed = not self.reader_returned
        return ShutDown(f"{what} shut down, {text}", hint=hint, readers_failed=failed)
