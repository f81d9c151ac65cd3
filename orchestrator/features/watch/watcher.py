"""Runs a pipeline anew whenever its spec or its code changes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from orchestrator.features.watch.changes import Changes
from orchestrator.targets.code import Code

__all__ = ["WatchedState", "Watcher"]

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_HEARD = (*_ENDING, signal.SIGTSTP, signal.SIGWINCH)
_MOST_NAMED = 3
_STORM_S = 0.2
"""Changes that follow each other so closely are one: an editor's, a checkout's."""
_SOON_S = 5.0
_OWN_CHANGES = 3
"""A file that changes so soon in so many runs, each begun for that, is written by the run."""


@dataclass(frozen=True, kw_only=True)
class WatchedState:
    """What was seen: the files that count, and the pickled `child.RunRequest` of a run.

    There is no request if there is nothing that could be run.
    """

    code: Code
    request: bytes | None


@dataclass(frozen=True)
class _Changed:
    paths: frozenset[Path]


@dataclass(frozen=True)
class _Ended:
    run: subprocess.Popen[bytes]


@dataclass(frozen=True)
class _Heard:
    signum: int


_Event: TypeAlias = _Changed | _Ended | _Heard


class Watcher:
    """One watch. `look` is called before each run; `command` reads the request and is the run.

    A run is a process group of its own: what a terminal sends comes here alone, and is passed on.
    """

    def __init__(
        self, look: Callable[[], WatchedState], command: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        """Raise UsageError if watchfiles is not installed."""
        self._look = look
        self._command = command
        self._tell = tell
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._changes = Changes(lambda paths: self._events.put(_Changed(paths)))
        self._code = Code()
        self._began_at = 0.0
        self._streaks: dict[Path, int] = {}
        self._run: subprocess.Popen[bytes] | None = None
        self._ended_by: int | None = None

    def until_interrupted(self, begin_with: Code) -> int:
        """Run, and run anew after each change, until a signal ends it; returns the exit code.

        `begin_with` counts before the first look, whatever that finds.
        """
        self._code = begin_with
        with contextlib.closing(self._changes), self._hearing():
            self._changes.add(begin_with.places)
            while True:
                found = self._look()
                self._code = begin_with | found.code
                self._changes.add(self._code.places)
                if found.request is not None:
                    self._start(found.request)
                else:
                    self._tell_waiting()
                if not self._until_changed() or not self._until_calm():
                    return 128 + (self._ended_by or signal.SIGINT)

    @contextlib.contextmanager
    def _hearing(self) -> Iterator[None]:
        """Take signals as events; what is ignored, by nohup for one, stays so."""

        def hear(signum: int, _frame: object) -> None:
            self._events.put(_Heard(signum))

        heard = [each for each in _HEARD if signal.getsignal(each) != signal.SIG_IGN]
        before = {each: signal.signal(each, hear) for each in heard}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start(self, request: bytes) -> None:
        # An interrupt while it imports would end it with a traceback: it unblocks it when ready.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            run = subprocess.Popen(self._command, stdin=subprocess.PIPE, process_group=0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        assert run.stdin is not None
        with contextlib.suppress(BrokenPipeError), run.stdin as stdin:
            stdin.write(request)

        def attend() -> None:
            run.wait()
            self._events.put(_Ended(run))

        self._run, self._began_at = run, time.monotonic()
        threading.Thread(target=attend, daemon=True).start()

    def _until_changed(self) -> bool:
        """Wait until something has changed and nothing runs; False once a signal has ended it."""
        anew = False
        while True:
            match self._events.get():
                case _Changed() if anew or self._ended_by is not None:
                    continue
                case _Changed(paths):
                    changed = self._by_others(path for path in paths if path in self._code)
                    if not changed:
                        continue
                    self._tell_changed(changed)
                    if self._run is None:
                        return True
                    anew = True
                    self._run.send_signal(signal.SIGTERM)
                case _Ended():
                    self._run = None
                    if anew or self._ended_by is not None:
                        return self._ended_by is None
                    self._tell_waiting()
                case _Heard(signum):
                    self._pass_on(signum)
                    if self._ended_by is not None and self._run is None:
                        return False

    def _until_calm(self) -> bool:
        """Let a storm of changes pass; False once a signal has ended the watch."""
        while self._ended_by is None:
            try:
                event = self._events.get(timeout=_STORM_S)
            except Empty:
                return True
            if isinstance(event, _Heard):
                self._pass_on(event.signum)
        return False

    def _by_others(self, paths: Iterable[Path]) -> list[Path]:
        """Return those that somebody else than the run has changed, as far as can be told.

        A run that writes what it is watched by would be run anew for ever.
        """
        found = sorted(paths)
        if self._run is None:
            return found
        if time.monotonic() - self._began_at > _SOON_S:
            self._streaks.clear()
            return found
        known = {path: n for path, n in self._streaks.items() if n >= _OWN_CHANGES}
        others = [path for path in found if path not in known]
        self._streaks = known | {path: self._streaks.get(path, 0) + 1 for path in others}
        if own := [path for path in others if self._streaks[path] >= _OWN_CHANGES]:
            self._tell(
                f"{_named(own)} changed soon after the start of {_OWN_CHANGES} runs: the run writes"
                " it, so it seems; what changes there while one goes on is passed over"
            )
        return [path for path in others if path not in own]

    def _pass_on(self, signum: int) -> None:
        if signum in _ENDING and self._ended_by is None:
            self._ended_by = signum
        if self._run is not None:
            self._run.send_signal(signum)
        if signum == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)
            if self._run is not None:
                self._run.send_signal(signal.SIGCONT)

    def _tell_changed(self, paths: Sequence[Path]) -> None:
        self._tell(f"{_named(paths)} changed: running anew")

    def _tell_waiting(self) -> None:
        named = _named(sorted(self._code.files))
        self._tell(f"waiting for a change of {named}, or of a Python file beside; Ctrl-C ends")


def _named(paths: Sequence[Path]) -> str:
    names = list(dict.fromkeys(path.name for path in paths))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
