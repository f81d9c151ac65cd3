"""The names a module binds, told from its source text alone."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Bindings", "Kind", "bindings_in"]

_REACHES_NAMESPACE = frozenset({"globals", "exec", "eval", "vars", "locals", "setattr"})
_NOT_CALLABLE = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr)


class Kind(enum.Enum):
    """What a name is bound to, as far as the text says."""

    FUNCTION = "function"
    COROUTINE = "coroutine function"
    CLASS = "class"
    DATA = "data"
    UNKNOWN = "unknown"


@dataclass(kw_only=True)
class Bindings:
    """Names and kinds of a module's or class's body. `is_open`: it may have any other name too."""

    names: dict[str, Kind] = field(default_factory=dict)
    classes: dict[str, Bindings] = field(default_factory=dict)
    is_open: bool = False


def bindings_in(source: str | bytes, filename: str) -> Bindings:
    """Return what the module with this `source` binds.

    Raises:
        SyntaxError: it is not Python for this interpreter.

    """
    tree = ast.parse(source, filename)
    found = _body(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.names.update((name, Kind.UNKNOWN) for name in node.names)
        elif _reaches_namespace(node) or _replaces_a_module(node):
            found.is_open = True
    found.is_open = found.is_open or "__getattr__" in found.names
    return found


def _reaches_namespace(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in _REACHES_NAMESPACE


def _replaces_a_module(node: ast.AST) -> bool:
    """Whether this stores into `sys.modules`: another module may take this one's own place."""
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "modules"
    )


def _body(statements: Iterable[ast.stmt]) -> Bindings:
    found = Bindings()
    for statement in _flattened(statements):
        _bind(statement, found)
    return found


def _flattened(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those in their blocks (if, try, for, …), in order."""
    todo = [*reversed(list(statements))]
    while todo:
        statement = todo.pop()
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        blocks: list[ast.stmt] = []
        for name in ("body", "orelse", "finalbody"):
            blocks += getattr(statement, name, [])
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            blocks += part.body
        todo += reversed(blocks)


def _bind(statement: ast.stmt, found: Bindings) -> None:
    match statement:
        case ast.FunctionDef(name=name, decorator_list=decorators):
            found.names[name] = Kind.UNKNOWN if decorators else Kind.FUNCTION
        case ast.AsyncFunctionDef(name=name, decorator_list=decorators):
            found.names[name] = Kind.UNKNOWN if decorators else Kind.COROUTINE
        case ast.ClassDef(name=name):
            found.names[name] = Kind.CLASS
            found.classes[name] = _body(statement.body)
            inherits = statement.bases or statement.keywords or statement.decorator_list
            found.classes[name].is_open = bool(inherits)
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            for alias in aliases:
                found.is_open = found.is_open or alias.name == "*"
                found.names[alias.asname or alias.name.partition(".")[0]] = Kind.UNKNOWN
        case _:
            _bind_targets(statement, found)


def _bind_targets(statement: ast.stmt, found: Bindings) -> None:
    """Bind the names a statement stores to, nested blocks and inner scopes left out."""
    value = getattr(statement, "value", None)
    plain = isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(value, _NOT_CALLABLE)
    for part in _own_expressions(statement):
        for node in ast.walk(part):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known = found.names.get(node.id)
                kind = Kind.DATA if plain and known in (None, Kind.DATA) else Kind.UNKNOWN
                found.names[node.id] = kind
            elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
                found.names[node.name] = Kind.UNKNOWN


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.match_case):
            yield child.pattern
        elif not isinstance(child, ast.stmt | ast.ExceptHandler):
            yield child
