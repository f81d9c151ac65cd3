"""Calls a function when a module is imported, and never imports one itself.

Called in the child. A worker that does not use structlog pays nothing for it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["ImportHook"]

Then = Callable[[ModuleType], None]


class ImportHook(MetaPathFinder):
    """A finder that finds nothing itself: it wraps the loaders of the modules it waits for."""

    def __init__(self, wanted: Mapping[str, Then]) -> None:
        self._wanted = dict(wanted)

    def install(self) -> None:
        """Wait for the modules; those that are there already are handed over at once."""
        for name in self._wanted.keys() & sys.modules.keys():
            _hand_over(sys.modules[name], self._wanted.pop(name))
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find it, and wrap its loader if it is waited for."""
        then = self._wanted.get(fullname)
        if then is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, then)
                return spec
        return None


class _Loader(Loader):
    """Loads as the loader it stands for, then calls `then`; afterwards it is nowhere any more."""

    def __init__(self, loader: Any, then: Then) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, then hand it over."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _hand_over(module, self._then)


def _hand_over(module: ModuleType, then: Then) -> None:
    """Call it; a module that is another one of that name, or release, is left as it is."""
    with contextlib.suppress(Exception):
        then(module)
