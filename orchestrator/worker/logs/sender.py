"""Sends log records from a worker: one datagram each, with the item at hand.

Called in the child.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.ipc.records import Record, encode
from orchestrator.worker.failure import name_of, render, text_of
from orchestrator.worker.logs.values import encodable, to_json

__all__ = ["Sender"]


class Sender:
    """The worker's way to the run's log. A datagram is whole or not there: threads need no lock.

    `draws`: somebody sees what the program's own handlers make of a record.
    """

    def __init__(
        self, sock: socket.socket, at_hand: Callable[[], tuple[str, int]], *, draws: bool = True
    ) -> None:
        self.draws = draws
        self._sock = sock
        self._at_hand = at_hand

    def send(
        self,
        *,
        ts: float,
        level: str,
        logger: str,
        msg: str,
        fields: Mapping[Any, Any] | None = None,
        error: BaseException | None = None,
        traceback: str = "",
        pid: int = 0,
        thread: str = "",
        call: str = "",
        text: str | None = None,
    ) -> None:
        """Send one record. `traceback` goes below that of `error`.

        Where it cannot be sent, since the target has closed what is not its own, its text goes to
        standard error.
        """
        error_type = said = ""
        if error is not None:
            error_type, said = name_of(type(error)), text_of(error)
            traceback = "\n".join(part for part in (render(error).rstrip(), traceback) if part)
        cut: tuple[str, ...] = ()
        encoded = ""
        if fields:
            encoded, cut = to_json(fields)
        item, attempt = self._at_hand()
        if cut:
            cut = tuple(f"fields.{name}" for name in cut)
        record = Record(  # by position: this is done for each record
            *(ts, level, logger, msg, encoded, traceback, error_type, said),
            *(item, attempt, pid, thread, call, text, cut),
        )
        try:
            self._sock.send(encode(record))
        except OSError:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"{level.upper()} {logger}: {encodable(msg)}\n")
