"""Finds modules and reads their text; no module is imported, no package executed."""

from __future__ import annotations

import importlib.machinery
import pkgutil
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec

from orchestrator.encoding import unfit
from orchestrator.errors import Rule
from orchestrator.spec import rules
from orchestrator.targets.bindings import Bindings, Kind, bindings_in

__all__ = ["Module", "TargetFlaw", "find", "read", "standard"]


@dataclass(frozen=True, kw_only=True)
class TargetFlaw:
    """Why a target cannot be used: the rule it breaks, how, and what to do about it."""

    rule: Rule
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module as its text tells it. `file` is empty where it has none; `package` holds it."""

    name: str
    file: str = ""
    package: str = ""
    bindings: Bindings = field(default_factory=Bindings)


def find(name: str, entries: Iterable[str]) -> ModuleSpec | None:
    """Find a module, by its name in full, on the path `entries` of its package.

    A top-level one may be known elsewhere: frozen, or by the finder of an editable install.
    `importlib.util.find_spec` would execute its packages.
    """
    portions: list[str] = []
    for entry in entries:
        finder = pkgutil.get_importer(entry or ".") if not unfit(entry) else None
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions += spec.submodule_search_locations or ()
    if portions:
        namespace = ModuleSpec(name, None, is_package=True)
        namespace.submodule_search_locations = portions
        return namespace
    return None if "." in name else _find_elsewhere(name)


def _find_elsewhere(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder:
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None


def standard(module: str) -> Bindings | None:
    """Return the names of a standard module that exists only once imported, such as os.path."""
    if module.partition(".")[0] not in sys.stdlib_module_names or module not in sys.modules:
        return None
    return Bindings(names=dict.fromkeys(vars(sys.modules[module]), Kind.UNKNOWN))


def read(spec: ModuleSpec) -> Bindings | TargetFlaw:
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
