"""Plain types told from annotations: what is not plain is not known, and contradicts nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrator.targets.definitions import dotted_name
from orchestrator.targets.modules import Bindings

__all__ = ["Types", "contradict", "elements_of", "types_of"]

Types = frozenset[str] | None
"""The names of plain types, any of which it may be; None is not known."""

_PLAIN = frozenset(
    {
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "memoryview",
        "set",
        "str",
        "tuple",
    }
)
_ALIASES = {
    "typing.Dict": "dict",
    "typing.FrozenSet": "frozenset",
    "typing.List": "list",
    "typing.Set": "set",
    "typing.Text": "str",
    "typing.Tuple": "tuple",
}
_MANY = frozenset(
    {
        "Collection",
        "Generator",
        "Iterable",
        "Iterator",
        "MutableSequence",
        "Sequence",
        "List",
        "Set",
        "FrozenSet",
        "Deque",
        "list",
        "set",
        "frozenset",
        "deque",
    }
)
_FROM = ("builtins", "collections", "collections.abc", "typing")
_FITS = {
    ("bool", "int"),
    ("bool", "float"),
    ("bool", "complex"),
    ("int", "float"),
    ("int", "complex"),
    ("float", "complex"),
    ("bytearray", "bytes"),
    ("memoryview", "bytes"),
}
"""(given, wanted): what type checkers let pass for another type. Source: PEP 484."""


def types_of(annotation: object, bindings: Bindings) -> Types:
    """Return the plain types in an annotation; None if any of it is not plain."""
    match _written(annotation):
        case ast.Constant(value=None):
            return frozenset({"None"})
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([left, right], bindings)
        case ast.Subscript(value=value, slice=inner):
            return _of_subscript(dotted_name(value, bindings), inner, bindings)
        case ast.Name() | ast.Attribute() as node:
            return _named(dotted_name(node, bindings))
    return None


def elements_of(annotation: object, bindings: Bindings) -> Types:
    """Return the plain types of what an annotated iterable holds; None if they are not known."""
    node = _written(annotation)
    if not isinstance(node, ast.Subscript):
        return None
    home, _, name = dotted_name(node.value, bindings).rpartition(".")
    if home not in _FROM:
        return None
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name.lower() == "tuple":
        is_open = len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...
        return types_of(parts[0], bindings) if is_open else None
    return types_of(parts[0], bindings) if name in _MANY else None


def contradict(given: Types, wanted: Types) -> bool:
    """True if nothing of what is given can be what is wanted."""
    if given is None or wanted is None:
        return False
    return not any(one == other or (one, other) in _FITS for one in given for other in wanted)


def _written(annotation: object) -> ast.expr | None:
    """Return the expression of an annotation, of one in quotes too."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return annotation if isinstance(annotation, ast.expr) else None


def _of_subscript(name: str, inner: ast.expr, bindings: Bindings) -> Types:
    match name:
        case "typing.Optional":
            return _union([inner, ast.Constant(value=None)], bindings)
        case "typing.Union":
            return _union(inner.elts if isinstance(inner, ast.Tuple) else [inner], bindings)
        case "typing.Annotated":
            return types_of(inner.elts[0], bindings) if isinstance(inner, ast.Tuple) else None
        case "typing.Literal":
            return frozenset(_literals(inner)) or None
    return _named(name)


def _literals(inner: ast.expr) -> Iterator[str]:
    for each in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
        if isinstance(each, ast.Constant):
            yield "None" if each.value is None else type(each.value).__name__


def _union(parts: list[ast.expr], bindings: Bindings) -> Types:
    found: set[str] = set()
    for part in parts:
        types = types_of(part, bindings)
        if types is None:
            return None
        found |= types
    return frozenset(found)


def _named(dotted: str) -> Types:
    name = _ALIASES.get(dotted, dotted.removeprefix("builtins."))
    return frozenset({name}) if name in _PLAIN else None
