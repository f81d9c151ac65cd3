"""Follows a dotted name to where it is defined: through imports, assignments and base classes."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.targets.modules import BindingOrigin, Bindings, Definition, Module

__all__ = ["Defined", "Definitions", "dotted_name"]

_MOST_HOPS = 20
_PLAIN_BASES = frozenset(
    {
        "abc.ABC",
        "builtins.object",
        "contextlib.AbstractContextManager",
        "typing.Generic",
    }
)
"""Bases that neither take arguments, nor can be called, nor change how their classes are made."""
_RUN_BASES = frozenset(
    {"multiprocessing.Process", "multiprocessing.context.Process", "threading.Thread"}
)
"""Bases whose classes are made, and then `run`."""
_PLAIN_METACLASSES = frozenset({"abc.ABCMeta", "builtins.type"})
_PLAIN_CLASS_DECORATORS = frozenset(
    {
        "dataclasses.dataclass",
        "functools.total_ordering",
        "typing.final",
        "typing.runtime_checkable",
    }
)
_CHANGES_MAKING = ("__new__", "__init_subclass__")
_MAKING = ("__new__", "__init__", "__enter__", "__call__")


@dataclass(frozen=True, kw_only=True)
class Defined:
    """A definition, and where it stands: `scope` is the body of a class if it is one."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr
    module: Module
    scope: Bindings

    @property
    def place(self) -> str:
        """Return where it is written: `file:line`."""
        return f"{self.module.file}:{self.node.lineno}"


class Definitions:
    """Definitions by name; `find_module` returns what is known of a module, or None."""

    def __init__(self, find_module: Callable[[str], Module | None]) -> None:
        self._find_module = find_module

    def find(self, module: Module, names: Sequence[str], hops: int = _MOST_HOPS) -> Defined | None:
        """Return what a dotted name of a module stands for; None unless that is certain."""
        bindings, name, rest = module.bindings, names[0], names[1:]
        if bindings.is_rebound or not hops:
            return None
        definition = bindings.definitions.get(name)
        if isinstance(definition, BindingOrigin):
            return self._imported(module, definition, rest, hops - 1)
        if definition is None or (rest and bindings.is_patched(name, rest[0])):
            return None
        if isinstance(definition, ast.Name | ast.Attribute) and not rest:
            alias = dotted_parts(definition)
            return self.find(module, alias, hops - 1) if alias else None
        if isinstance(definition, ast.ClassDef):
            found = Defined(node=definition, module=module, scope=bindings.classes[name])
            return self._member(found, rest) if rest else found
        if rest:
            return None
        return Defined(node=definition, module=module, scope=bindings)

    def lineage(self, found: Defined, below: int = 0) -> list[Defined] | None:
        """Return a class and its bases, the nearest first; None if not all of them are known.

        Of bases that are reached twice the last place counts, as in a diamond.
        """
        node = found.node
        assert isinstance(node, ast.ClassDef)
        if below == _MOST_HOPS or not _is_plain(found, node):
            return None
        lines = [found]
        for base in node.bases:
            written = base.value if isinstance(base, ast.Subscript) else base
            if dotted_name(written, found.module.bindings) in _PLAIN_BASES | _RUN_BASES:
                continue
            names = dotted_parts(written)
            parent = self.find(found.module, names) if names else None
            if parent is None or not isinstance(parent.node, ast.ClassDef):
                return None
            further = self.lineage(parent, below + 1)
            if further is None:
                return None
            lines += further
        last = {id(each.node): index for index, each in enumerate(lines)}
        return [each for index, each in enumerate(lines) if last[id(each.node)] == index]

    def member(self, lineage: Sequence[Defined], name: str) -> Defined | None:
        """Return what a class has by that name, its own or inherited; None unless certain."""
        for each in lineage:
            if name not in each.scope.names:
                continue
            definition = each.scope.definitions[name]
            if definition is None or isinstance(definition, BindingOrigin):
                return None
            is_class = isinstance(definition, ast.ClassDef)
            scope = each.scope.classes[name] if is_class else each.scope
            return Defined(node=definition, module=each.module, scope=scope)
        return None

    def is_run(self, lineage: Sequence[Defined]) -> bool:
        """True if a class is a process's or a thread's."""
        return any(
            dotted_name(base, each.module.bindings) in _RUN_BASES
            for each in lineage
            if isinstance(each.node, ast.ClassDef)
            for base in each.node.bases
        )

    def _member(self, found: Defined, names: Sequence[str]) -> Defined | None:
        lineage = self.lineage(found) if len(names) == 1 else None
        return self.member(lineage, names[0]) if lineage else None

    def _imported(
        self, module: Module, origin: BindingOrigin, rest: Sequence[str], hops: int
    ) -> Defined | None:
        """Look for it in the module that it is imported from; a name may be a module itself."""
        base = _absolute(module, origin)
        names = (*([origin.name] if origin.name else []), *rest)
        while base and names:
            source = self._find_module(base)
            if source is None:
                return None
            if names[0] in source.bindings.names:
                return self.find(source, names, hops)
            if source.bindings.is_open:
                return None
            base, names = f"{base}.{names[0]}", names[1:]
        return None


def _is_plain(found: Defined, node: ast.ClassDef) -> bool:
    """True if nothing but its text and its bases says how a class is made."""
    bindings = found.module.bindings
    decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    metaclasses = [each.value for each in node.keywords if each.arg in ("metaclass", None)]
    return (
        not any(name in found.scope.names for name in _CHANGES_MAKING)
        and not any(bindings.is_patched(node.name, name) for name in _MAKING)
        and all(dotted_name(each, bindings) in _PLAIN_CLASS_DECORATORS for each in decorators)
        and all(dotted_name(each, bindings) in _PLAIN_METACLASSES for each in metaclasses)
    )


def _absolute(module: Module, origin: BindingOrigin) -> str:
    if not origin.level:
        return origin.module
    parts = module.package.split(".") if module.package else []
    kept = len(parts) - origin.level + 1
    return ".".join([*parts[:kept], *filter(None, [origin.module])]) if kept > 0 else ""


def dotted_parts(node: ast.expr) -> list[str]:
    """Return the names of `a.b.c`; none if it is something else."""
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value, attr=attribute):
            parts = dotted_parts(value)
            return [*parts, attribute] if parts else []
    return []


def dotted_name(node: ast.expr, bindings: Bindings) -> str:
    """Return the full name of what an expression names, such as `functools.wraps`, or nothing."""
    first, *rest = dotted_parts(node) or [""]
    origin: Definition | None = bindings.definitions.get(first)
    if isinstance(origin, BindingOrigin):
        return ".".join([origin.dotted, *rest])
    if first not in bindings.names and hasattr(builtins, first):
        return ".".join(["builtins", first, *rest])
    return ""
