"""The `__init__` that `dataclasses.dataclass` writes, told from the fields in the text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature

from orchestrator.plan.bindings import Bindings
from orchestrator.plan.definitions import Defined, dotted_name
from orchestrator.plan.signatures import with_fields

__all__ = ["Made", "init_of"]

_PLAIN_STATEMENTS = (
    ast.AnnAssign,
    ast.Assign,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Expr,
    ast.FunctionDef,
    ast.Pass,
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """An `__init__` that is made; its signature is None where the text does not tell it."""

    signature: Signature | None


class _UnclearError(Exception):
    """The text does not tell the fields."""


def init_of(lineage: Sequence[Defined]) -> Made | None:
    """Return the `__init__` that is made for the first class of a lineage; None if none is."""
    options = _options(lineage[0])
    if options is None:
        return None
    fields: dict[str, Parameter | None] = {}
    try:
        if not _flag(options, "init", default=True):
            return None
        for each in reversed(lineage):
            theirs = _options(each)
            if theirs is None:
                continue
            fields |= _fields(each, keyword_only=_flag(theirs, "kw_only", default=False))
    except _UnclearError:
        return Made(signature=None)
    return Made(signature=with_fields(list(filter(None, fields.values()))))


def _options(found: Defined) -> dict[str | None, ast.expr] | None:
    """Return the keywords of the decorator `dataclass`; None if the class has none."""
    assert isinstance(found.node, ast.ClassDef)
    for each in found.node.decorator_list:
        function = each.func if isinstance(each, ast.Call) else each
        if dotted_name(function, found.module.bindings) == "dataclasses.dataclass":
            keywords = each.keywords if isinstance(each, ast.Call) else ()
            return {keyword.arg: keyword.value for keyword in keywords}
    return None


def _flag(options: dict[str | None, ast.expr], name: str, *, default: bool) -> bool:
    if None in options:
        raise _UnclearError
    match options.get(name):
        case None:
            return default
        case ast.Constant(value=bool(value)):
            return value
    raise _UnclearError


def _fields(found: Defined, *, keyword_only: bool) -> Iterator[tuple[str, Parameter | None]]:
    """Yield the fields a class adds; one that is not given to `__init__` is no parameter."""
    assert isinstance(found.node, ast.ClassDef)
    bindings = found.module.bindings
    for statement in found.node.body:
        if not isinstance(statement, _PLAIN_STATEMENTS):
            raise _UnclearError
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        annotation = _annotation_name(statement.annotation, bindings)
        if annotation == "typing.ClassVar":
            continue
        if annotation == "dataclasses.KW_ONLY":
            keyword_only = True
            continue
        name = statement.target.id
        yield name, _field(name, statement.value, bindings, keyword_only=keyword_only)


def _annotation_name(annotation: ast.expr, bindings: Bindings) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return ""
    written = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return dotted_name(written, bindings)


def _field(
    name: str, value: ast.expr | None, bindings: Bindings, *, keyword_only: bool
) -> Parameter | None:
    has_default, in_init = value is not None, True
    if isinstance(value, ast.Call) and dotted_name(value.func, bindings) == "dataclasses.field":
        options = {keyword.arg: keyword.value for keyword in value.keywords}
        in_init = _flag(options, "init", default=True)
        keyword_only = _flag(options, "kw_only", default=keyword_only)
        has_default = "default" in options or "default_factory" in options
    if not in_init:
        return None
    kind = Parameter.KEYWORD_ONLY if keyword_only else Parameter.POSITIONAL_OR_KEYWORD
    default = name if has_default else Parameter.empty
    return Parameter(name, kind, default=default)
