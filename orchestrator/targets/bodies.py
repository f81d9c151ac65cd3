"""Bodies of functions: what they give back, and which of their handles they read to the end."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from orchestrator.targets.signatures import FunctionNode

__all__ = ["Results", "drained_first", "results_of"]

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
_TO_THE_END = frozenset(
    {"dict", "frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple"}
)
"""Builtins that return when what they are given has ended."""
_PASS_ON = frozenset({"enumerate", "iter"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp)


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


# The order in which a function reads its queue handles, as far as its text shows.


def drained_first(function: FunctionNode, handles: Collection[str]) -> str | None:
    """Return the handle that is read to its end before any other is touched.

    None unless that is certain: the first statement that names a handle reads it until it ends,
    and names no other.
    """
    for statement in _in_order(function.body):
        named = _named(statement, handles)
        if named:
            only = next(iter(named)) if len(named) == 1 else None
            return only if only is not None and _drains(statement, only) else None
    return None


def _in_order(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Yield what is executed whatever happens, in order."""
    for statement in body:
        if isinstance(statement, ast.With):
            for item in statement.items:
                yield item.context_expr
            yield from _in_order(statement.body)
        elif isinstance(statement, ast.Try):
            yield from _in_order(statement.body)
            yield from statement.handlers
            yield from _in_order([*statement.orelse, *statement.finalbody])
        else:
            yield statement


def _named(node: ast.AST, handles: Collection[str]) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & set(handles)


def _drains(statement: ast.AST, handle: str) -> bool:
    if isinstance(statement, ast.For):
        return _is_handle(statement.iter, handle) and not _may_leave(statement.body)
    if isinstance(statement, ast.While):
        forever = isinstance(statement.test, ast.Constant) and bool(statement.test.value)
        return forever and _gets(statement, handle) and not _may_leave(statement.body)
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
        return any(_takes_all(node, handle) for node in ast.walk(statement))
    return False


def _is_handle(node: ast.expr, handle: str) -> bool:
    """True if iterating over `node` takes from the handle until it ends."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        return node.func.id in _PASS_ON and _is_handle(node.args[0], handle)
    return isinstance(node, ast.Name) and node.id == handle


def _takes_all(node: ast.AST, handle: str) -> bool:
    """True if an expression has the value only when the handle has ended."""
    if isinstance(node, _COMPREHENSIONS):
        return _is_handle(node.generators[0].iter, handle)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
        return False
    first = node.args[0]
    if isinstance(first, ast.GeneratorExp):
        first = first.generators[0].iter
    return node.func.id in _TO_THE_END and _is_handle(first, handle)


def _gets(loop: ast.While, handle: str) -> bool:
    """True if every use of the handle is a `get` that waits for ever."""
    gets = [
        node.func.value
        for node in ast.walk(loop)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and not node.args
        and not node.keywords
    ]
    waiting = {id(node) for node in gets if isinstance(node, ast.Name) and node.id == handle}
    uses = [node for node in ast.walk(loop) if isinstance(node, ast.Name) and node.id == handle]
    return bool(uses) and all(id(node) in waiting for node in uses)


def _may_leave(body: Iterable[ast.stmt]) -> bool:
    """True if a loop may end before its handle does; what a `try` does at the end is no such way.

    A `break` of a loop within it is taken for its own.
    """
    for statement in body:
        if isinstance(statement, ast.Try):
            if _may_leave([*statement.body, *statement.orelse, *statement.finalbody]):
                return True
        elif any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(statement)):
            return True
    return False
