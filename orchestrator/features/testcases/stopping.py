"""Signals to `mporch test`: they end the case that runs, and those after it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
from collections.abc import Callable, Iterator

from orchestrator.app.child_run.child import RunRequest
from orchestrator.app.child_run.parent import attend, begin, result_of
from orchestrator.core.reporting.summary import Summary

__all__ = ["CaseStopper", "StoppedError"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """The signal `signum` has asked for an end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class CaseStopper:
    """Called in the parent. Hears signals; `tell` is called in their handler with the first one.

    A run is in a process group of its own: what a terminal sends comes here alone, and once. The
    first signal terminates it, another one kills it (the guard takes two within 2 s for one),
    whichever they are: a test has nothing to finish. `signum` is the first, None without one.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.signum: int | None = None
        self._tell = tell
        self._run: subprocess.Popen[bytes] | None = None
        self._raises = False

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Hear signals in here; what is ignored, by nohup for one, stays so.

        After one that ends, those that end are ignored: there is nothing left to end but the
        interpreter, and the exit code stays the same.
        """
        hear = {**dict.fromkeys(_ENDING, self._end), signal.SIGTSTP: self._pause}
        heard = {s: h for s, h in hear.items() if signal.getsignal(s) != signal.SIG_IGN}
        before = {signum: signal.signal(signum, handler) for signum, handler in heard.items()}
        try:
            yield
        finally:
            for signum, handler in before.items():
                ended = self.signum is not None and signum in _ENDING
                signal.signal(signum, signal.SIG_IGN if ended else handler)

    def host(self, request: RunRequest) -> Summary:
        """Run the request in a child, to its end, and return how it went.

        Raises StoppedError after the end of the run if a signal was heard, else as `hosting.host`.
        """
        asked = pickle.dumps(request)
        run = self._run = begin(process_group=0)
        try:
            if self.signum is not None:  # it was heard while the child was made
                run.terminate()
            written = attend(run, asked)
        finally:
            self._run = None
        self._check()
        return result_of(written)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Have the first signal raise StoppedError, wherever the code in here is."""
        self._raises = True
        try:
            self._check()
            yield
        finally:
            self._raises = False
        self._check()

    def _check(self) -> None:
        if self.signum is not None:
            raise StoppedError(self.signum)

    def _end(self, signum: int, _frame: object) -> None:
        first, self.signum = self.signum is None, self.signum or signum
        if self._run is not None:
            self._run.terminate()
        if first:
            self._tell(signum)
            if self._raises:
                raise StoppedError(signum)

    def _pause(self, _signum: int, _frame: object) -> None:
        if self._run is not None:
            self._run.send_signal(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._run is not None:
            self._run.send_signal(signal.SIGCONT)
