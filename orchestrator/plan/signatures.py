"""Signatures told from the text of functions and classes, as `inspect` would tell them."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable, Sequence
from inspect import Parameter, Signature

__all__ = ["FunctionNode", "bound", "partially", "signature_of", "with_fields"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_GIVEN = "a default of the text"
"""Stands for a default: that there is one is all that matters."""


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
