"""Results of a function, as far as its text shows."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import cast

from orchestrator.plan.signatures import FunctionNode

__all__ = ["Results", "results_of"]

_TYPES: dict[type[ast.expr], str] = {
    ast.Compare: "bool",
    ast.Dict: "dict",
    ast.DictComp: "dict",
    ast.GeneratorExp: "generator",
    ast.JoinedStr: "str",
    ast.Lambda: "function",
    ast.List: "list",
    ast.ListComp: "list",
    ast.Set: "set",
    ast.SetComp: "set",
    ast.Tuple: "tuple",
}
_ENDS = frozenset({"exit", "_exit", "quit", "abort"})
_INNER = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda})
_LEAVES = frozenset({ast.Name, ast.Constant, ast.Pass, ast.Break, ast.Continue})


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a function gives back: it may yield, and each `return` of it has a value or None."""

    function: FunctionNode
    is_generator: bool
    returned: tuple[ast.expr | None, ...]

    @property
    def is_coroutine(self) -> bool:
        """True if calling it runs nothing of it, but makes what has to be awaited."""
        return isinstance(self.function, ast.AsyncFunctionDef)

    @property
    def is_nothing(self) -> bool:
        """True if it gives nothing but None, whichever way it takes; not so if it never returns.

        A body of `...` alone declares a function, and says nothing of it.
        """
        if self.is_generator or any(_types_of(value) != {"None"} for value in self.returned):
            return False
        return not _is_declaration(self.function) and not _never_ends(self.function)

    @property
    def types(self) -> frozenset[str]:
        """The types of all that it returns; none unless each return shows its own.

        That it returns None at its end is not among them.
        """
        shown = [_types_of(value) for value in self.returned]
        return frozenset().union(*shown) if all(shown) else frozenset()

    @property
    def is_self(self) -> bool:
        """True if all that a method returns is its own object."""
        arguments = [*self.function.args.posonlyargs, *self.function.args.args]
        return bool(arguments and self.returned) and all(
            isinstance(value, ast.Name) and value.id == arguments[0].arg for value in self.returned
        )


def results_of(function: FunctionNode) -> Results:
    """Return what the text of a function shows of its results; inner functions are not its own."""
    is_generator, returned = False, []
    todo: list[ast.AST] = [*reversed(function.body)]
    while todo:
        node = todo.pop()
        kind = type(node)
        if kind in _INNER or kind in _LEAVES:
            continue
        if kind is ast.Return:
            returned.append(cast("ast.Return", node).value)
        elif kind is ast.Yield or kind is ast.YieldFrom:
            is_generator = True
        for name in node._fields:
            part = getattr(node, name)
            if isinstance(part, list):
                todo += reversed([each for each in part if isinstance(each, ast.AST)])
            elif isinstance(part, ast.AST):
                todo.append(part)
    return Results(function=function, is_generator=is_generator, returned=tuple(returned))


def _types_of(value: ast.expr | None) -> frozenset[str]:
    """Return the types an expression can have; none where it does not show."""
    match value:
        case None:
            return frozenset({"None"})
        case ast.Constant(value=constant):
            return frozenset({"None" if constant is None else type(constant).__name__})
        case ast.IfExp(body=body, orelse=orelse):
            types = _types_of(body), _types_of(orelse)
            return frozenset.union(*types) if all(types) else frozenset()
        case ast.UnaryOp(op=ast.Not()):
            return frozenset({"bool"})
    known = _TYPES.get(type(value))
    return frozenset({known}) if known else frozenset()


def _is_declaration(function: FunctionNode) -> bool:
    return all(
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and (statement.value.value is ... or isinstance(statement.value.value, str))
        for statement in function.body
    )


def _never_ends(function: FunctionNode) -> bool:
    """True if its last statement raises, exits or repeats itself."""
    match function.body[-1]:
        case ast.Raise() | ast.While():
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            return name in _ENDS
    return False
