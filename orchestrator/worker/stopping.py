"""The stop signal: an exception in the target, never in the middle of a frame.

Called in the child.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType

from orchestrator.worker.connection import Connection

__all__ = ["StopRequested", "StopSignal"]


_AGAIN_S = 0.002
"""By then a hook or a `__del__` has mostly ended; if not, it is raised and dropped once more."""


class StopRequested(SystemExit):
    """Raised in the main thread by the job's stop signal, so that `finally` and `__exit__` run."""


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class StopSignal:
    """Turns the stop signal into StopRequested once mporch's own code is not in the middle of it.

    What Python drops, since it was raised in `__del__`, a callback or a hook, is raised again.
    """

    def __init__(self, signum: int, connection: Connection) -> None:
        self.requested = False
        """The signal, number `signum`, has come."""
        self.signum = signum
        self._connection = connection
        self._raised = self._retired = self._muted = self._dropped = False
        self._is_coming = False
        self._hook: CodeType | None = None

    def install(self) -> None:
        """From now on the signal stops the target, unless the target installs a handler itself."""
        self._connection.on_release = self.check
        sys.unraisablehook = self._heard(sys.unraisablehook)
        signal.signal(self.signum, self._on_signal)

    def retire(self) -> None:
        """The target has ended: nothing is left to raise it in, the rest has the grace anyway."""
        self._retired = True

    def mute(self) -> None:
        """Only note what comes from now on: Python drops what is raised in a hook."""
        self._muted = True

    def unmute(self) -> bool:
        """From now on it is raised; returns whether it came meanwhile and is to be raised next.

        Where that was dropped before (by another hook, say), it is raised a little later.
        """
        self._muted = False
        if not self.requested or self._raised or self._retired:
            return False
        if self._dropped:
            self._raise_again()
        return not self._dropped

    def disown(self, refuse: Callable[[], None]) -> None:
        """Called in a process the target has forked: signals are its own, `check` refuses."""
        if signal.getsignal(self.signum) == self._on_signal:
            signal.signal(self.signum, signal.SIG_DFL)
        self.requested = self._connection.attention = self._retired = True
        self.check = refuse  # type: ignore[method-assign]

    def check(self) -> None:
        """Raise what came while mporch was busy."""
        if self.requested and not (self._raised or self._retired or self._muted):
            if not _in_main_thread():
                return
            self._raised = True
            raise StopRequested(128 + self.signum)

    def _heard(
        self, hook: Callable[[sys.UnraisableHookArgs], object]
    ) -> Callable[[sys.UnraisableHookArgs], None]:
        """The hook for what Python drops, but for StopRequested."""

        def heard(dropped: sys.UnraisableHookArgs) -> None:
            if dropped.exc_type is not StopRequested:
                hook(dropped)
            else:
                self._dropped = True
                self._raise_again()

        self._hook = heard.__code__
        return heard

    def _raise_again(self) -> None:
        """Raise it when the main thread has come on a little: soon, or with the next put or get."""
        if self._retired:
            return
        self._raised = False
        self._connection.signalled = self._connection.attention = True
        if self._is_coming:
            return
        self._is_coming = True
        try:
            threading.Thread(target=self._signal_again, name="mporch-stop", daemon=True).start()
        except RuntimeError:  # no thread can be started
            self._is_coming = False

    def _signal_again(self) -> None:
        threading.Event().wait(_AGAIN_S)
        self._is_coming = False
        main = threading.main_thread().ident
        if main is not None and signal.getsignal(self.signum) == self._on_signal:
            signal.pthread_kill(main, self.signum)

    def _on_signal(self, _signum: int, frame: FrameType | None) -> None:
        self.requested = self._connection.signalled = self._connection.attention = True
        if self._connection.busy_here():
            return
        if self._hears(frame):
            self._raise_again()  # what is raised in the hook itself is dropped, and nobody hears it
        else:
            self.check()

    def _hears(self, frame: FrameType | None) -> bool:
        """True if the main thread is in the hook for what Python drops."""
        while frame is not None and frame.f_code is not self._hook:
            frame = frame.f_back
        return frame is not None
