"""Cyclomatic complexity: how many ways lead through a piece of code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Scope", "scopes"]

_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
)


@dataclass
class Scope:
    """A function or method, or what a module has outside of them, with its complexity.

    The complexity is one more than the number of decisions. A function within a function counts for
    itself, a class or lambda for the scope around it.
    """

    name: str
    complexity: int = 1


def scopes(tree: ast.Module) -> list[Scope]:
    """The scopes of a module; the first is the module's own, `<module>`."""
    module = Scope("<module>")
    found = [module]
    todo: list[tuple[ast.AST, Scope, str]] = [(tree, module, "")]
    while todo:
        node, scope, path = todo.pop()
        body_scope, body_path = scope, path
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body_scope = Scope(path + node.name)
            found.append(body_scope)
            body_path = f"{path}{node.name}."
        elif isinstance(node, ast.ClassDef):
            body_path = f"{path}{node.name}."
        scope.complexity += _decisions(node)
        for field, child in _children(node):
            if field == "body":
                todo.append((child, body_scope, body_path))
            else:  # decorators and defaults are evaluated outside the function
                todo.append((child, scope, path))
    return found


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case():
            return 0 if _matches_anything(node) else 1
        case _:
            return int(isinstance(node, _BRANCHES))


def _matches_anything(case: ast.match_case) -> bool:
    return (
        case.guard is None
        and isinstance(case.pattern, ast.MatchAs)
        and case.pattern.pattern is None
    )


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield field, child
