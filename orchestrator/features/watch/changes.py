"""Notices changes of files: watchfiles (the extra `watch`) waits for the kernel to tell of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.files import is_folder

__all__ = ["Changes"]

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
