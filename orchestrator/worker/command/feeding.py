"""Hands items to a program while its output is read: a thread writes, the main thread reads.

Called in the child. Either pipe may be full at any time; with a thread for each nobody waits for
the wrong one.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Iterable
from typing import IO

__all__ = ["Feeder", "feed"]


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
