"""Conventions that hold for every module of the product."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "orchestrator").rglob("*.py"))
QUESTIONS = {"what", "who", "whoever", "whose", "whether", "how", "which", "where", "when", "why"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_first_line_of_a_module_says_what_the_file_is(path: Path) -> None:
    """A noun comes first, so that a list of first lines is a table of contents."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    if "templates" in path.parts:
        return  # a user's own file by now
    assert text
    first = text.splitlines()[0]
    assert first.split()[0].lower() not in QUESTIONS
    assert first.endswith((".", ":")) and len(first) <= 97


def test_the_first_line_of_a_function_is_no_question() -> None:
    """It says what the function does, or gives."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (text := ast.get_docstring(node))
        and text.split()[0].strip(",.:").lower() in QUESTIONS
    ]
    assert not found, "\n".join(found)


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest would collect only one of them, but for those in packages."""
    files = (ROOT / "tests").rglob("*.py")
    names = [path.name for path in files if not (path.parent / "__init__.py").exists()]
    assert not {name for name in names if names.count(name) > 1} - {"conftest.py"}
