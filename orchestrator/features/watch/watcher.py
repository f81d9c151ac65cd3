"""Runs a pipeline anew whenever its spec or its code changes."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from orchestrator.app import Options
from orchestrator.app.child_run.child import RunRequest
from orchestrator.app.child_run.parent import begin, hearing, pause_with, send
from orchestrator.console.checking import Checked, check_spec, show_checked
from orchestrator.console.exits import exit_code_of
from orchestrator.console.options import Layering
from orchestrator.console.printing import tell
from orchestrator.console.words import Words
from orchestrator.errors import UsageError
from orchestrator.files import is_file, is_folder
from orchestrator.targets.code import Code, code_of

__all__ = ["Changes", "WatchedState", "Watcher", "watch_spec"]


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
        with contextlib.closing(self._changes), hearing(dict.fromkeys(_HEARD, self._hear)):
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

    def _hear(self, signum: int, _frame: object) -> None:
        self._events.put(_Heard(signum))

    def _start(self, request: bytes) -> None:
        run = begin(self._command, process_group=0, answers=False)
        send(run, request)

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
        if signum == signal.SIGTSTP:
            pause_with(self._run)
        elif self._run is not None:
            self._run.send_signal(signum)

    def _tell_changed(self, paths: Sequence[Path]) -> None:
        self._tell(f"{_named(paths)} changed: running anew")

    def _tell_waiting(self) -> None:
        named = _named(sorted(self._code.files))
        self._tell(f"waiting for a change of {named}, or of a Python file beside; Ctrl-C ends")


def _named(paths: Sequence[Path]) -> str:
    names = list(dict.fromkeys(path.name for path in paths))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


_GATHER_MS = 1600
_QUIET_MS = 50
"""What changes together is told together: until nothing has for so long."""


class Changes:
    """Calls `told`, in threads of its own, with the files that have changed in some folders.

    A folder is watched rather than its files: editors replace a file to change it.
    """

    def __init__(self, told: Callable[[frozenset[Path]], None]) -> None:
        """Raise UsageError if watchfiles is not installed."""
        try:
            import watchfiles._rust_notify as backend  # noqa: PLC0415 -- an extra; documented
        except ImportError:
            hint = "pip install 'mporch[watch]'"
            raise UsageError("--watch needs the extra watch", hint=hint) from None
        self._backend = backend
        self._told = told
        self._folders: set[Path] = set()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, folders: Iterable[Path]) -> None:
        """Watch more folders; changes from now on are told. One that is not there is left out."""
        new = {folder for folder in folders if is_folder(folder)} - self._folders
        if not new:
            return
        self._folders |= new
        paths = [str(folder) for folder in new]
        watcher = self._backend.RustNotify(paths, False, False, 0, False, True)
        thread = threading.Thread(target=self._follow, args=(watcher,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Tell of nothing any more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _follow(self, watcher: object) -> None:
        with watcher as notify:  # type: ignore[attr-defined]
            while True:
                found = notify.watch(_GATHER_MS, _QUIET_MS, 0, self._over)
                if not isinstance(found, set):
                    return
                self._told(frozenset(Path(path) for _, path in found))


_RUN = (sys.executable, "-P", "-m", "orchestrator.features.watch.child")


def watch_spec(spec: str, *, layering: Layering, chosen: Words, options: Options) -> int:
    """Run the spec, and again after each change, until it is interrupted; returns the exit code.

    Raises UsageError if watchfiles is not installed, or a file to watch is not there at first.
    """
    written = Code(files=frozenset(_files((spec, *layering.files, *layering.env_files))))
    code = Code()

    def look() -> WatchedState:
        nonlocal code
        checked = _checked(spec, layering, chosen)
        if checked is not None and checked.spec is not None:
            code = code_of(checked.spec)
        if checked is None or checked.spec is None or checked.plan is None:
            return WatchedState(code=code, request=None)
        request = RunRequest(
            plan=checked.plan,
            source=checked.spec.source,
            options=options,
            parent_pid=os.getpid(),
        )
        return WatchedState(code=code, request=pickle.dumps(request))

    watch = Watcher(look, _RUN, lambda line: tell(f"mporch: {line}"))
    return watch.until_interrupted(written)


def _files(names: Iterable[str]) -> Iterable[Path]:
    for name in names:
        if not is_file(name):
            raise UsageError(f"there is no file {name} to watch", hint="name the path of a spec")
        yield Path(name).absolute()


def _checked(spec: str, layering: Layering, chosen: Words) -> Checked | None:
    """Check the spec and show its problems; None if there are no such jobs in it, which is told."""
    found: list[Checked] = []

    def check() -> None:
        found.append(check_spec(spec, layering=layering, selection=chosen.selection()))
        show_checked(found[0])

    exit_code_of(check)
    return found[0] if found else None
