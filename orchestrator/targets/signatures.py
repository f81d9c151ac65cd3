"""Signatures told from the text of functions and of dataclasses, as inspect would tell them."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature

from orchestrator.targets.definitions import Defined, dotted_name
from orchestrator.targets.modules import Bindings

__all__ = ["FunctionNode", "Made", "bound", "init_of", "partially", "signature_of", "with_fields"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_GIVEN = "a default of the text"
"""Stands for a default: that there is one is all that matters."""
_PLAIN_STATEMENTS = (
    ast.AnnAssign,
    ast.Assign,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Expr,
    ast.FunctionDef,
    ast.Pass,
)


def signature_of(arguments: ast.arguments, returns: ast.expr | None = None) -> Signature:
    """Return the signature that is written; annotations stay expressions."""
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = len(positional) - len(arguments.defaults)
    found = []
    for index, each in enumerate(positional):
        only = index < len(arguments.posonlyargs)
        kind = Parameter.POSITIONAL_ONLY if only else Parameter.POSITIONAL_OR_KEYWORD
        found.append(_parameter(each, kind, has_default=index >= bare))
    if arguments.vararg is not None:
        found.append(_parameter(arguments.vararg, Parameter.VAR_POSITIONAL))
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(_parameter(each, Parameter.KEYWORD_ONLY, has_default=default is not None))
    if arguments.kwarg is not None:
        found.append(_parameter(arguments.kwarg, Parameter.VAR_KEYWORD))
    return Signature(found, return_annotation=Signature.empty if returns is None else returns)


def _parameter(
    written: ast.arg, kind: inspect._ParameterKind, *, has_default: bool = False
) -> Parameter:
    return Parameter(
        written.arg,
        kind,
        default=_GIVEN if has_default else Parameter.empty,
        annotation=Parameter.empty if written.annotation is None else written.annotation,
    )


def bound(signature: Signature) -> Signature | None:
    """Return the signature without `self`; None if there is no place for it."""
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        return None
    if parameters[0].kind is Parameter.VAR_POSITIONAL:
        return signature
    return signature.replace(parameters=parameters[1:])


def partially(signature: Signature, n: int, names: Iterable[str]) -> Signature | None:
    """Return what is left of a signature after `functools.partial` with n arguments and keywords.

    None if they do not fit it.
    """

    def called() -> None:
        """Nothing calls this: it carries the signature."""

    called.__signature__ = signature  # type: ignore[attr-defined] # inspect's own convention
    part = functools.partial(called, *range(n), **dict.fromkeys(names))
    try:
        return inspect.signature(part)
    except (TypeError, ValueError):
        return None


def with_fields(fields: Sequence[Parameter]) -> Signature | None:
    """Return the signature of a dataclass's `__init__`; None if Python would refuse the class."""
    apart = sorted(fields, key=lambda field: field.kind)
    try:
        return Signature(apart)
    except ValueError:
        return None


# The `__init__` that `dataclasses.dataclass` writes, told from the fields in the text.


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
