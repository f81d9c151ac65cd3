"""Shows problems of specs on standard error, with the lines they are in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.console.printing import tell
from orchestrator.errors import Problem
from orchestrator.files import is_file
from orchestrator.views.problems import render_pointer, render_problems
from orchestrator.views.tables import Paper
from orchestrator.views.terminal import colours, width_of

if TYPE_CHECKING:
    from orchestrator.console.checking import Checked

__all__ = ["show_checked", "show_problems"]

_MOST_BYTES = 1 << 20


def show_checked(checked: Checked) -> None:
    """Print the problems of a spec, and what follows from the choice of its jobs."""
    show_problems(checked.problems, checked.texts)
    for remark in checked.remarks:
        tell(f"mporch: {remark}")


def show_problems(problems: Iterable[Problem], texts: Mapping[str, str] | None = None) -> None:
    """Print the problems; `texts` has specs that were read already, by the name of their file."""
    problems = tuple(problems)
    if not problems:
        return
    sources = {problem.file: "" for problem in problems}
    for name in sources:
        sources[name] = (texts or {}).get(name) or _text_of(Path(name))
    paper = Paper(width=width_of(sys.stderr), colour=colours(sys.stderr, os.environ))
    text = render_problems(problems, sources, paper) + render_pointer(problems)
    print(text, end="", file=sys.stderr)


def _text_of(path: Path) -> str:
    """Return the file's text again; nothing if it is not a file of text any more, nor was one."""
    try:
        if is_file(path) and path.stat().st_size <= _MOST_BYTES:
            return path.read_text("utf-8-sig", "replace")
    except (OSError, ValueError):
        return ""
    return ""
