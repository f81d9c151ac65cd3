"""Tells versions of code apart by what it does: not by comments, docstrings and layout. Pure."""

from __future__ import annotations

import ast
import hashlib
import warnings

__all__ = ["is_version", "version_of"]

_OF_CODE = "code:"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def version_of(text: bytes) -> str:
    """Return a digest of what Python reads in a module's text; empty if there is none.

    A text that is no Python is told apart by its bytes.
    """
    if not text:
        return ""
    try:
        return _OF_CODE + _digest(_code_of(text).encode("utf-8", "surrogatepass"))
    except _UNREADABLE:
        return _digest(text)


def is_version(text: bytes, before: str) -> bool:
    """True if `before` is the version of this text; older runs have kept one of its bytes."""
    if before and not before.startswith(_OF_CODE):
        return before == _digest(text)
    return before == version_of(text)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code_of(text: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in the user's texts
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        elif isinstance(node, ast.Constant):
            node.kind = None  # whether it was written with a u
    return ast.dump(tree)
