"""The four stages of the census: find, parse, write, report."""

from __future__ import annotations

import ast
import csv
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from examples.census.complexity import scopes

_NOT_THE_LIBRARY = {"site-packages", "dist-packages"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the census knows of one module.

    `complexity` is the sum over its scopes; `hardest` names the most complex of them.
    """

    module: str
    lines: int
    functions: int
    classes: int
    imports: int
    complexity: int
    hardest: str
    hardest_complexity: int


def find_files() -> Iterator[str]:
    """Yield the path of each source file of the standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if _NOT_THE_LIBRARY.isdisjoint(path.parts):
            yield str(path)


def parse(path: str) -> Facts:
    """Read one module; raises SyntaxError if this interpreter doesn't take it for Python."""
    source = Path(path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(source, path)
    nodes = list(ast.walk(tree))
    found = scopes(tree)
    hardest = max(found, key=lambda scope: scope.complexity)
    return Facts(
        module=Path(path).relative_to(sysconfig.get_path("stdlib")).as_posix(),
        lines=len(source.splitlines()),
        functions=len(found) - 1,
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes),
        complexity=sum(scope.complexity for scope in found),
        hardest=hardest.name,
        hardest_complexity=hardest.complexity,
    )


def write(census: Iterable[Facts], path: str) -> None:
    """Write one row a module, in the order in which they come."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Facts)])
        table.writeheader()
        table.writerows(asdict(facts) for facts in census)


def report(path: str, top: int) -> None:
    """Print the most complex modules and the totals."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: (-int(row["complexity"]), row["module"]))
    print(f"{'module':<36} {'lines':>7} {'complexity':>10}  hardest function")
    for row in rows[:top]:
        hardest = f"{row['hardest']} ({row['hardest_complexity']})"
        print(f"{row['module']:<36} {row['lines']:>7} {row['complexity']:>10}  {hardest}")
    columns = ("lines", "functions", "classes", "imports", "complexity")
    totals = {column: sum(int(row[column]) for row in rows) for column in columns}
    named = ", ".join(f"{total:,} {column}" for column, total in totals.items())
    print(f"{len(rows):,} modules: {named}")
