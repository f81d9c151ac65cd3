"""Nothing that mporch decides depends on the wall clock, which anybody may set."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "orchestrator"
CLOCKS = {
    *("time.time", "time.time_ns", "time.localtime", "time.ctime"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}
STAMPS = {
    "app/run.py": "when a run began and ended, a letter was written",
    "features/deadletters/replay.py": "when letters were fed back",
    "ipc/marks.py": "when a line was printed",
    "engine/node/workerio.py": "when a line that has no time of its own was read",
    "worker/logs/structured.py": "the time of a record",
    "runlog/directory.py": "the name of a run",
    "runlog/letters.py": "when letters were dropped",
    "runlog/writer.py": "the time of a record",
}


def _clocks_of(path: Path) -> set[str]:
    """The wall clocks that a module looks at, or could."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            found.add(".".join(ast.unparse(node).rsplit(".", 2)[-2:]))
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found & CLOCKS


def test_only_stamps_and_names_are_made_of_the_wall_clock():
    looking = {
        path.relative_to(PACKAGE).as_posix(): clocks
        for path in PACKAGE.rglob("*.py")
        if (clocks := _clocks_of(path))
    }
    assert looking.keys() == STAMPS.keys(), looking
