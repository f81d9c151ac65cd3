"""What a function gives back, as far as its text shows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrator.plan.signatures import FunctionNode, own_nodes

__all__ = ["gives_nothing", "is_generator", "result_types", "returns_self"]

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


def is_generator(function: FunctionNode) -> bool:
    """Whether calling it gives a generator."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))


def gives_nothing(function: FunctionNode) -> bool:
    """Whether it returns nothing but None, whichever way it takes; not so if it never returns.

    A body of `...` alone declares a function, and says nothing of it.
    """
    if is_generator(function) or _is_declaration(function) or _never_ends(function):
        return False
    return all(_types_of(value) == {"None"} for value in _returned(function))


def result_types(function: FunctionNode) -> frozenset[str]:
    """Return the types of all that it returns; none unless each return shows its own.

    That it returns None at its end is not among them.
    """
    found: set[str] = set()
    for value in _returned(function):
        types = _types_of(value)
        if not types:
            return frozenset()
        found |= types
    return frozenset(found)


def returns_self(method: FunctionNode) -> bool:
    """Whether all that a method returns is its own object."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    values = list(_returned(method))
    return bool(arguments and values) and all(
        isinstance(value, ast.Name) and value.id == arguments[0].arg for value in values
    )


def _returned(function: FunctionNode) -> Iterator[ast.expr | None]:
    return (node.value for node in own_nodes(function) if isinstance(node, ast.Return))


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
    """Whether its last statement raises, exits or repeats itself."""
    match function.body[-1]:
        case ast.Raise() | ast.While():
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            return name in _ENDS
    return False
