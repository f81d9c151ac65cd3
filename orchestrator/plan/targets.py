"""Look a target up without running anything of it: no module is imported, no package executed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

from orchestrator.errors import Rule
from orchestrator.plan.bindings import Bindings, Kind, bindings_in
from orchestrator.plan.model import Target
from orchestrator.spec.rules import targets as rules
from orchestrator.spec.wording import Guesses

__all__ = ["TargetFlaw", "TargetFormError", "Targets", "parse_target"]

_MOST_PATHS_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class TargetFlaw:
    """Why a target cannot be used: the rule it breaks, how, and what to do about it."""

    rule: Rule
    message: str
    hint: str = ""


class TargetFormError(ValueError):
    """A target that is not written as `package.module:name`."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(f'"{text[:80]}" is not of the form package.module:name')
        self.hint = hint


def parse_target(text: str) -> Target:
    """Return the target in `package.module:name`.

    Raises:
        TargetFormError: it is of another form; its hint says how to write it.

    """
    module, colon, qualname = text.partition(":")
    if colon and all(part.isidentifier() for part in [*module.split("."), *qualname.split(".")]):
        return Target(module=module, qualname=qualname)
    hint = "write package.module:function"
    parts = text.split(".")
    if not colon and len(parts) > 1 and all(part.isidentifier() for part in parts):
        hint = f"write {'.'.join(parts[:-1])}:{parts[-1]}"
    elif text.endswith("()"):
        hint = f"write {text[:-2]}"
    elif "/" in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"write {dotted}:{qualname or 'name'}"
    raise TargetFormError(text, hint)


class Targets:
    """Static look-up of targets over `pythonpath` and this interpreter's own path."""

    def __init__(self, pythonpath: Sequence[str]) -> None:
        importlib.invalidate_caches()
        self._entries = (*pythonpath, *sys.path)
        self._modules: dict[str, Bindings | TargetFlaw] = {}
        self._guesses: dict[object, Guesses] = {}

    def flaw(self, target: Target) -> TargetFlaw | None:
        """Return why `target` cannot be found or called, or None where nothing speaks against it.

        A module whose names cannot be told without running it counts as having them all.
        """
        if target.module not in self._modules:
            self._modules[target.module] = self._look_into(target.module)
        found = self._modules[target.module]
        if isinstance(found, TargetFlaw):
            return found
        return self._name_flaw(target, found)

    def version(self, module: str) -> str:
        """Return a digest of the module's file; empty where it has none that can be read."""
        spec = self._locate(module)
        try:
            data = Path(spec.origin).read_bytes() if spec is not None and spec.origin else b""
        except OSError:
            data = b""
        return hashlib.sha256(data).hexdigest() if data else ""

    def _locate(self, module: str) -> ModuleSpec | None:
        entries, spec = self._entries, None
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            spec = _find(name, entries) or (_find_elsewhere(name) if depth == 1 else None)
            if spec is None:
                return None
            entries = tuple(spec.submodule_search_locations or ())
        return spec

    def _look_into(self, module: str) -> Bindings | TargetFlaw:
        if module == "__main__":
            hint = "put the function into a module of its own"
            message = "workers cannot import __main__"
            return TargetFlaw(rule=rules.MAIN_MODULE, message=message, hint=hint)
        if module in sys.builtin_module_names:
            return Bindings(is_open=True)
        entries = self._entries
        spec: ModuleSpec | None = None
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            spec = _find(name, entries) or (_find_elsewhere(name) if depth == 1 else None)
            if spec is None:
                return _standard(module) or self._missing(name, entries)
            entries = tuple(spec.submodule_search_locations or ())
        return _read(spec) if spec is not None else Bindings(is_open=True)

    def _name_flaw(self, target: Target, module: Bindings) -> TargetFlaw | None:
        """Follow the dotted name through classes, as far as the text tells."""
        scope, place = module, target.module
        for name in target.qualname.split("."):
            kind = scope.names.get(name)
            if kind is None:
                if scope.is_open:
                    return None
                if place not in self._guesses:
                    public = (known for known in scope.names if known[0] != "_")
                    self._guesses[place] = Guesses(public)
                hint = self._guesses[place].hint(name)
                message = f"{place} has no {name}"
                return TargetFlaw(rule=rules.NO_SUCH_NAME, message=message, hint=hint)
            place = f"{place}.{name}"
            if kind is not Kind.CLASS:
                return _kind_flaw(place, kind) if place.endswith(target.qualname) else None
            scope = scope.classes[name]
        return None

    def _missing(self, name: str, entries: tuple[str, ...]) -> TargetFlaw:
        package, _, tail = name.rpartition(".")
        if entries not in self._guesses:
            modules = (found.name for found in pkgutil.iter_modules(list(entries)))
            self._guesses[entries] = Guesses(modules)
        near = self._guesses[entries].hint(tail)
        if package:
            what = f"the package {package} has no module {tail}"
        else:
            what = f"there is no module {name}"
        shown = [entry or "." for entry in dict.fromkeys(entries)]
        if len(shown) > _MOST_PATHS_SHOWN:
            shown[_MOST_PATHS_SHOWN - 1 :] = [f"{len(shown) - _MOST_PATHS_SHOWN + 1} more"]
        places = ", ".join(shown) or f"nothing, for {package} is not a package"
        return TargetFlaw(
            rule=rules.NO_MODULE,
            message=f"{what} for {sys.executable}; searched: {places}",
            hint=near or "install it for this interpreter, or add its folder to pythonpath",
        )


def _find(name: str, entries: Iterable[str]) -> ModuleSpec | None:
    """Find a module on path entries; `importlib.util.find_spec` would execute its packages."""
    portions: list[str] = []
    for entry in entries:
        finder = pkgutil.get_importer(entry or ".")
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions += spec.submodule_search_locations or ()
    if not portions:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = portions
    return namespace


def _find_elsewhere(name: str) -> ModuleSpec | None:
    """Ask the other finders (frozen modules, editable installs) for a top-level module."""
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder:
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None


def _standard(module: str) -> Bindings | None:
    """Return the names of a standard module that exists only once imported, such as os.path."""
    if module.partition(".")[0] not in sys.stdlib_module_names or module not in sys.modules:
        return None
    return Bindings(names=dict.fromkeys(vars(sys.modules[module]), Kind.UNKNOWN))


def _read(spec: ModuleSpec) -> Bindings | TargetFlaw:
    """Read the names a module binds; one without source may bind any."""
    if spec.loader is None:
        return Bindings()
    get_source = getattr(spec.loader, "get_source", None)
    try:
        source = get_source(spec.name) if get_source is not None else None
        if source is None:
            return Bindings(is_open=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bindings_in(source, spec.origin or spec.name)
    except SyntaxError as error:
        where = f"{spec.origin}:{error.lineno}:{error.offset}"
        return TargetFlaw(
            rule=rules.NOT_PYTHON,
            message=f"{spec.name} is not Python for {sys.executable}: {where}: {error.msg}",
            hint="mend the module",
        )
    except (OSError, ImportError, UnicodeError, ValueError, RecursionError, MemoryError) as error:
        message = f"{spec.name} cannot be read from {spec.origin}: {error}"
        return TargetFlaw(rule=rules.UNREADABLE_MODULE, message=message, hint="mend the module")


def _kind_flaw(place: str, kind: Kind) -> TargetFlaw | None:
    if kind is Kind.COROUTINE:
        hint = "give a plain function; it may call asyncio.run itself"
        message = f"{place} is a coroutine function"
        return TargetFlaw(rule=rules.COROUTINE, message=message, hint=hint)
    if kind is Kind.DATA:
        message, hint = f"{place} cannot be called", "name a function or a class"
        return TargetFlaw(rule=rules.NOT_CALLABLE, message=message, hint=hint)
    return None
