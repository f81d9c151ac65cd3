"""In which order a function reads its queue handles, as far as its text shows."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from orchestrator.plan.signatures import FunctionNode

__all__ = ["drained_first"]

_TO_THE_END = frozenset(
    {"dict", "frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple"}
)
"""Builtins that return when what they are given has ended."""
_PASS_ON = frozenset({"enumerate", "iter"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp)


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
