"""Looks targets up: the door to what can be known of the user's code without running any of it.

No module is imported, no package executed. `app.import_check` imports.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType

from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses
from orchestrator.targets.callees import Callee, Callees
from orchestrator.targets.modules import (
    Bindings,
    Definition,
    Kind,
    Module,
    TargetFlaw,
    find,
    read,
    standard,
)
from orchestrator.targets.target import Target, TargetFormError, parse_target

__all__ = ["Found", "Targets"]

_MOST_PATHS_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the text tells of a target: why it cannot be used, or what is called of it.

    With neither, nothing speaks against the target, and nothing certain can be said of it.
    """

    flaw: TargetFlaw | None = None
    callee: Callee | None = None


class Targets:
    """Static look-up of targets over `pythonpath` and this interpreter's own path."""

    def __init__(self, pythonpath: Sequence[str]) -> None:
        importlib.invalidate_caches()
        self._entries = (*pythonpath, *sys.path)
        self._modules: dict[str, Module | TargetFlaw] = {}
        self._guesses: dict[object, Guesses] = {}
        self._callees = Callees(self._module)
        self._found: dict[str, Found] = {}

    def look_up(self, text: str) -> Found:
        """Return what is known of the target that is written so; each is looked for once."""
        if text not in self._found:
            self._found[text] = self._find(text)
        return self._found[text]

    def _find(self, text: str) -> Found:
        try:
            target = parse_target(text)
        except TargetFormError as error:
            flaw = TargetFlaw(rule=rules.BAD_TARGET, message=str(error), hint=error.hint)
            return Found(flaw=flaw)
        if (wrong := self._flaw(target)) is not None:
            return Found(flaw=wrong)
        return Found(callee=self._callees.find(target))

    def _flaw(self, target: Target) -> TargetFlaw | None:
        """Return why `target` cannot be found or called, or None where nothing speaks against it.

        A module whose names cannot be told without running it counts as having them all.
        """
        found = self._known(target.module)
        if not isinstance(found, TargetFlaw):
            return self._name_flaw(target, found)
        return _file_flaw(target) if _names_a_file(target, found) else found

    def _module(self, name: str) -> Module | None:
        """Return what is known of a module; None if it is not there, or not Python."""
        found = self._known(name)
        return None if isinstance(found, TargetFlaw) else found

    def text(self, module: str) -> bytes:
        """Return the text of the module's file; empty where there is none, or it cannot be read."""
        file = self.file(module)
        try:
            return file.read_bytes() if file is not None else b""
        except OSError:
            return b""

    def file(self, module: str) -> Path | None:
        """Return the absolute path of the module's file; None where it has none."""
        spec = self._locate(module)[0]
        if spec is None or not spec.origin or not spec.has_location:
            return None
        return Path(spec.origin).absolute()

    def _locate(self, module: str) -> tuple[ModuleSpec | None, str, tuple[str, ...]]:
        """Return the module or None, the last name that was looked for, and where."""
        entries, spec, name, searched = self._entries, None, "", self._entries
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            name, searched = ".".join(parts[:depth]), entries
            spec = find(name, entries)
            if spec is None:
                break
            entries = tuple(spec.submodule_search_locations or ())
        return spec, name, searched

    def _known(self, module: str) -> Module | TargetFlaw:
        if module not in self._modules:
            self._modules[module] = self._look_into(module)
        return self._modules[module]

    def _look_into(self, module: str) -> Module | TargetFlaw:
        if module == "__main__":
            hint = "put the function into a module of its own"
            message = "workers cannot import __main__"
            return TargetFlaw(rule=rules.MAIN_MODULE, message=message, hint=hint)
        if module in sys.builtin_module_names:
            return Module(name=module, bindings=Bindings(is_open=True))
        spec, name, searched = self._locate(module)
        if spec is None:
            known = standard(module)
            return Module(name=module, bindings=known) if known else self._missing(name, searched)
        found = read(spec)
        if isinstance(found, TargetFlaw):
            return found
        file, package = spec.origin or "", spec.parent or ""
        return Module(name=module, file=file, package=package, bindings=found)

    def _name_flaw(self, target: Target, module: Module) -> TargetFlaw | None:
        """Follow the dotted name through classes, as far as the text tells."""
        scope, place = module.bindings, target.module
        names = target.qualname.split(".")
        for depth, name in enumerate(names, 1):
            kind = scope.names.get(name)
            if kind is None:
                return None if scope.is_open else self._no_such_name(place, scope, name)
            place = f"{place}.{name}"
            definition = None if module.bindings.is_rebound else scope.definitions.get(name)
            if depth == len(names):
                return _kind_flaw(place, kind, definition, module)
            if kind is not Kind.CLASS:
                return _attribute_flaw(place, definition, names[depth], module)
            scope = scope.classes[name]
        return None

    def _no_such_name(self, place: str, scope: Bindings, name: str) -> TargetFlaw:
        if place not in self._guesses:
            self._guesses[place] = Guesses(known for known in scope.names if known[0] != "_")
        hint = self._guesses[place].hint(name)
        return TargetFlaw(rule=rules.NO_SUCH_NAME, message=f"{place} has no {name}", hint=hint)

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


def _names_a_file(target: Target, flaw: TargetFlaw) -> bool:
    return flaw.rule is rules.NO_MODULE and target.module.endswith(".py")


def _file_flaw(target: Target) -> TargetFlaw:
    """Tell that a file was named where its module is wanted."""
    text = f"{target.module}:{target.qualname}"
    hint = f"write {target.module.removesuffix('.py')}:{target.qualname}"
    message = f'"{text[:80]}" names a file, not the module in it'
    return TargetFlaw(rule=rules.BAD_TARGET, message=message, hint=hint)


def _kind_flaw(
    place: str, kind: Kind, definition: Definition | None, module: Module
) -> TargetFlaw | None:
    if kind is Kind.COROUTINE:
        hint = "give a plain function; it may call asyncio.run itself"
        message = f"{place} is a coroutine function"
        return TargetFlaw(rule=rules.COROUTINE, message=message, hint=hint)
    if kind is Kind.DATA:
        message, hint = f"{place} cannot be called", "name a function or a class"
        return TargetFlaw(rule=rules.NOT_CALLABLE, message=message, hint=hint)
    if isinstance(definition, ast.Lambda):
        name = place.rpartition(".")[2]
        return TargetFlaw(
            rule=rules.NAMELESS,
            message=f"{place} is a lambda ({module.file}:{definition.lineno})",
            hint=f"write it as a function: def {name}(…)",
        )
    return None


def _attribute_flaw(
    place: str, definition: Definition | None, name: str, module: Module
) -> TargetFlaw | None:
    """Tell that a function has nothing of that name but what is nested in it."""
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list:
        return None
    if hasattr(FunctionType, name) or module.bindings.is_patched(definition.name, name):
        return None
    for node in ast.walk(definition):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node is not definition and node.name == name:
            return TargetFlaw(
                rule=rules.NAMELESS,
                message=f"{name} is nested in the function {place} ({module.file}:{node.lineno})",
                hint=f"only {definition.name}, while it runs, can reach it: "
                "move it to the top of the module",
            )
    return None
