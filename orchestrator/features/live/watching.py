"""The terminal of `mporch top`: pictures drawn over all of it, and the keys that are pressed."""

from __future__ import annotations

import dataclasses
import os
import re
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from orchestrator.control.client import ControlClient, RunGoneError
from orchestrator.control.protocol import AskPicture, Picture
from orchestrator.core.samples import Header
from orchestrator.views.frame import SORTS, Look, View, frame, order_of

__all__ = ["Watching", "watch"]

_EVERY_S = 0.5
_PATIENCE_S = 10.0
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""Another screen than that of the shell, no cursor, no folding of lines."""
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_KEY = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.|.", re.DOTALL)
_NAMES = {
    b"q": "quit",
    b"Q": "quit",
    b"\x03": "quit",
    b"\x04": "quit",
    b"\x1a": "suspend",
    b"s": "sort",
    b"S": "sort back",
    b"k": "up",
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"j": "down",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\r": "open",
    b"\n": "open",
    b" ": "open",
    b"\x1b": "close",
}


def watch(client: ControlClient, shown: Picture, look: Callable[[], Look]) -> bool:
    """Draw pictures over and over until a key says so, or the run ends: then return True.

    The last one of a run that goes on stays on the terminal.
    """
    watching = Watching(client.header, shown)
    with Terminal() as terminal:
        try:
            while not watching.done:
                terminal.draw(watching.lines(look()))
                _wait(client, terminal, watching)
        except RunGoneError:
            return True
    size = look()
    print("\n".join(watching.lines(dataclasses.replace(size, height=size.height - 1))))
    return False


def _wait(client: ControlClient, terminal: Terminal, watching: Watching) -> None:
    """Wait for half a second, a key, or the run's end; then take the next picture.

    Keys are heard all the time: whoever looks at a run that is stopped can leave it.
    """
    if _take(client, terminal, watching, _EVERY_S):
        return
    client.send(AskPicture())
    shown, deadline = watching.shown, time.monotonic() + _PATIENCE_S
    while watching.shown is shown and not watching.done:
        left_s = max(0.0, deadline - time.monotonic())
        if not _take(client, terminal, watching, left_s) and watching.shown is shown and not left_s:
            raise client.silent(_PATIENCE_S)


def _take(client: ControlClient, terminal: Terminal, watching: Watching, within_s: float) -> bool:
    """Take a picture or keys, what is there first; return True if there were keys."""
    fds = [client.fileno()] if terminal.keys_fd is None else [client.fileno(), terminal.keys_fd]
    ready = select.select(fds, [], [], within_s)[0]
    if client.fileno() in ready and (found := client.receive(0)) is not None:
        watching.shown = client.picture_in(found)
    if terminal.keys_fd is None or terminal.keys_fd not in ready:
        return False
    for key in terminal.pressed():
        if key == "suspend":
            terminal.suspend()
        watching.press(key)
    return True


class Watching:
    """What is looked at: the newest picture, and what keys have chosen of it."""

    def __init__(self, header: Header, shown: Picture) -> None:
        self.shown = shown
        self.done = False
        self._header = header
        self._view = View()

    def press(self, key: str) -> None:
        """Take a key, by its name; one that means nothing changes nothing."""
        if key == "quit":
            self.done = True
        elif key in {"sort", "sort back"}:
            orders = ("", *SORTS)
            at = orders.index(self._view.sort) + (1 if key == "sort" else -1)
            self._see(sort=orders[at % len(orders)])
        elif key in {"up", "down"}:
            self._move(1 if key == "down" else -1)
        elif key == "open":
            chosen = self._view.chosen
            self._see(opened=None if chosen == self._view.opened else chosen)
        elif key == "close":
            self._see(opened=None, chosen=None)

    def lines(self, look: Look) -> list[str]:
        """Return the picture for a terminal."""
        shown = self.shown
        view = dataclasses.replace(self._view, keys=self._keys(look))
        return frame(
            self._header, shown.before, shown.sample, look, sentence=shown.sentence, view=view
        )

    def _keys(self, look: Look) -> str:
        if self.done:
            return ""
        arrows = "↑↓" if look.unicode else "up/down"
        return f"q quit  s sort: {self._view.sort or 'as in the spec'}  {arrows} job  enter workers"

    def _see(self, **changed: Any) -> None:
        self._view = dataclasses.replace(self._view, **changed)

    def _move(self, by: int) -> None:
        order = order_of(self._header, self.shown.before, self.shown.sample, self._view)
        if not order:
            return
        if self._view.chosen in order:
            at = order.index(self._view.chosen) + by
        else:
            at = 0 if by > 0 else len(order) - 1
        self._see(chosen=order[max(0, min(at, len(order) - 1))])


class Terminal:
    """The terminal at standard output, drawn over as a whole; a context manager.

    It gives the keys at standard input, if that is a terminal too, and is left as it was, however
    the context ends: by SIGTERM and SIGHUP as well.
    """

    def __init__(self) -> None:
        self.keys_fd = 0 if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Terminal:
        for signum in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[signum] = signal.signal(signum, _end)
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._give_back()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def draw(self, lines: list[str]) -> None:
        """Draw the lines from the first one of the screen on, and nothing below."""
        sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
        sys.stdout.flush()

    def pressed(self) -> list[str]:
        """Return the keys that were pressed, by their names; a terminal that is gone quits."""
        assert self.keys_fd is not None
        try:
            data = os.read(self.keys_fd, 256)
        except OSError:
            data = b""
        if not data:
            return ["quit"]
        return [_NAMES.get(key, "") for key in _KEY.findall(data)]

    def suspend(self) -> None:
        """Stop as Ctrl-Z does, with the terminal given back, and go on when told to."""
        self._give_back()
        os.kill(0, signal.SIGTSTP)
        self._take()

    def _take(self) -> None:
        if self.keys_fd is not None:
            self._before = termios.tcgetattr(self.keys_fd)
            changed = termios.tcgetattr(self.keys_fd)
            changed[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
            changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self.keys_fd, termios.TCSANOW, changed)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()

    def _give_back(self) -> None:
        try:
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        finally:
            if self.keys_fd is not None and self._before is not None:
                termios.tcsetattr(self.keys_fd, termios.TCSANOW, self._before)


def _end(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)
