"""No circles of imports, neither at run time nor for types."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules() -> dict[str, Path]:
    """Every module of the product by its name, but for the files that are a user's own."""
    found = {}
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "templates" not in parts:
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules that one imports anywhere, in functions and under TYPE_CHECKING too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found = inner if inner in known else source
                if found in known and found != name:
                    yield found


def graph() -> dict[str, set[str]]:
    """Which modules import which others."""
    known = modules()
    return {name: set(imported(name, path, known)) for name, path in known.items()}


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Circles of imports, so many that without one import of each there would be none."""
    left = {name: set(found) for name, found in edges.items()}
    met = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            met.append(circle)
            left[circle[0]].discard(circle[1])
        else:
            return met


def test_modules_import_each_other_in_no_circle() -> None:
    edges = graph()
    assert sum(map(len, edges.values())) > len(edges)
    found = [" -> ".join(circle) for circle in circles(edges)]
    assert not found, "\n".join(found)


def test_a_circle_is_found_wherever_the_import_stands() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) != []
    assert circles({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a"}}) == []
