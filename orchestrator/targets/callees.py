"""The callee of a target, with its signature, as far as the text of its module tells."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from inspect import Parameter, Signature

from orchestrator.targets.annotations import Types, elements_of, types_of
from orchestrator.targets.bodies import Results, drained_first, results_of
from orchestrator.targets.definitions import Defined, Definitions, dotted_name
from orchestrator.targets.modules import Bindings, Module
from orchestrator.targets.signatures import FunctionNode, bound, init_of, partially, signature_of
from orchestrator.targets.target import Target

__all__ = ["Callee", "CalleePart", "Callees"]

_CHANGES_NOTHING = frozenset(
    {
        "abc.abstractmethod",
        "functools.cache",
        "functools.lru_cache",
        "functools.wraps",
        "typing.final",
        "typing.no_type_check",
        "typing.override",
        "typing_extensions.final",
        "typing_extensions.override",
    }
)
_CHANGES_RESULT = frozenset({"contextlib.contextmanager", "contextlib.asynccontextmanager"})
_POSITIONAL = (
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
)
_BINDS = {"builtins.staticmethod": False, "builtins.classmethod": True}


@dataclass(frozen=True, kw_only=True)
class CalleePart:
    """Something that is called. `results` are what it gives back, if that is known.

    The annotations of the signature are expressions of a module with these `bindings`.
    """

    place: str
    signature: Signature
    bindings: Bindings = field(default_factory=Bindings)
    results: Results | None = None

    def types_given(self, *, many: bool) -> Types:
        """Return the types of what it gives, as annotated; of `many`, of what an iterable holds."""
        types = elements_of if many else types_of
        return types(self.signature.return_annotation, self.bindings)

    def types_taken(self, *, many: bool) -> Types:
        """Return the types that its first positional parameter takes; of `many`, as above."""
        first = next(iter(self.signature.parameters.values()), None)
        if first is None or first.kind not in _POSITIONAL:
            return None
        return (elements_of if many else types_of)(first.annotation, self.bindings)

    def drained_first(self, handles: Collection[str]) -> str | None:
        """Return the handle that is read to its end before any other; None unless certain."""
        return None if self.results is None else drained_first(self.results.function, handles)


@dataclass(frozen=True, kw_only=True)
class Callee:
    """What is called: a function, or a class, which is made first. A part not known is None.

    `is_never_called`: it is a class, and what it makes cannot be called. `is_run`: it is the class
    of a process or a thread, which is made with the handles too; then its `run` is called.
    """

    name: str
    call: CalleePart | None = None
    is_class: bool = False
    make: CalleePart | None = None
    is_never_called: bool = False
    is_run: bool = False
    place: str = ""


class Callees:
    """Callees by target; `find_module` returns what is known of a module, or None."""

    def __init__(self, find_module: Callable[[str], Module | None]) -> None:
        self._find_module = find_module
        self._definitions = Definitions(find_module)

    def find(self, target: Target) -> Callee | None:
        """Return what `target` calls; None where nothing certain can be said of it."""
        module = self._find_module(target.module)
        found = self._definitions.find(module, target.qualname.split(".")) if module else None
        if found is None:
            return None
        name = f"{target.module}.{target.qualname}"
        if isinstance(found.node, ast.ClassDef):
            return self._class(name, found)
        part = self._part(found, is_method=False)
        return Callee(name=name, call=part, place=found.place) if part is not None else None

    def _part(self, found: Defined, *, is_method: bool) -> CalleePart | None:
        """Return a function, or a partial one. `is_method`: it is called through an instance."""
        if isinstance(found.node, ast.Call):
            return None if is_method else self._partial(found, found.node)
        if not isinstance(found.node, FunctionNode):
            return None
        decorators = _through(found.node.decorator_list, found.module)
        if decorators is None:
            return None
        signature: Signature | None = signature_of(found.node.args, found.node.returns)
        binds = is_method
        for each in decorators:
            binds = _BINDS.get(each, binds)
        if binds and signature is not None:
            signature = bound(signature)
        if signature is None:
            return None
        changed = not _CHANGES_RESULT.isdisjoint(decorators)
        return CalleePart(
            place=found.place,
            signature=signature,
            bindings=found.module.bindings,
            results=None if changed else results_of(found.node),
        )

    def _partial(self, found: Defined, call: ast.Call) -> CalleePart | None:
        """Return what is left of a function after `functools.partial`."""
        if dotted_name(call.func, found.module.bindings) != "functools.partial" or not call.args:
            return None
        function, *given = call.args
        names = [each.arg for each in call.keywords if each.arg is not None]
        starred = any(isinstance(each, ast.Starred) for each in given)
        if starred or len(names) < len(call.keywords) or not isinstance(function, ast.Name):
            return None
        whole = self._definitions.find(found.module, [function.id])
        part = self._part(whole, is_method=False) if whole is not None else None
        left = partially(part.signature, len(given), names) if part is not None else None
        if part is None or left is None:
            return None
        return CalleePart(
            place=part.place, signature=left, bindings=part.bindings, results=part.results
        )

    def _class(self, name: str, found: Defined) -> Callee | None:
        lineage = self._definitions.lineage(found)
        if lineage is None:
            return None
        if self._definitions.is_run(lineage):
            return self._run(name, found, lineage)
        make = self._making(found, lineage)
        callee = Callee(name=name, is_class=True, make=make, place=found.place)
        if not self._is_entered_as_itself(lineage):
            return callee
        if not any("__call__" in each.scope.names for each in lineage):
            return Callee(
                name=name, is_class=True, make=make, place=found.place, is_never_called=True
            )
        method = self._definitions.member(lineage, "__call__")
        call = self._part(method, is_method=True) if method is not None else None
        return Callee(name=name, is_class=True, make=make, call=call, place=found.place)

    def _run(self, name: str, found: Defined, lineage: list[Defined]) -> Callee | None:
        """Return what is called of a process's class, unless it is called itself."""
        scopes = [each.scope.names for each in lineage]
        if any("__call__" in names or "__enter__" in names for names in scopes):
            return None
        make = self._making(found, lineage) if any("__init__" in n for n in scopes) else None
        run = self._definitions.member(lineage, "run")
        call = self._part(run, is_method=True) if run is not None else None
        return Callee(
            name=name, is_class=True, is_run=True, make=make, call=call, place=found.place
        )

    def _making(self, found: Defined, lineage: list[Defined]) -> CalleePart | None:
        """Return the `__init__` that counts, written or made by `dataclass`."""
        for index, each in enumerate(lineage):
            if "__init__" in each.scope.names:
                method = self._definitions.member(lineage, "__init__")
                return self._part(method, is_method=True) if method is not None else None
            made = init_of(lineage[index:])
            if made is not None:
                if made.signature is None:
                    return None
                return CalleePart(
                    place=each.place, signature=made.signature, bindings=each.module.bindings
                )
        return CalleePart(place=found.place, signature=Signature(), bindings=found.module.bindings)

    def _is_entered_as_itself(self, lineage: list[Defined]) -> bool:
        """True if what `__enter__` gives, which is called then, is the object itself."""
        if not any("__enter__" in each.scope.names for each in lineage):
            return True
        method = self._definitions.member(lineage, "__enter__")
        if method is None or not isinstance(method.node, ast.FunctionDef):
            return False
        return not method.node.decorator_list and results_of(method.node).is_self


def _through(decorators: Iterable[ast.expr], module: Module) -> set[str] | None:
    """Return the decorators by name; None if there is one that may change the signature."""
    names = {
        dotted_name(each.func if isinstance(each, ast.Call) else each, module.bindings)
        for each in decorators
    }
    return names if names <= _CHANGES_NOTHING | _CHANGES_RESULT | _BINDS.keys() else None
