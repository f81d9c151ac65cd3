"""Problems of a spec: `file:line:column: error: …`, the line itself, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.errors import Problem, Severity
from orchestrator.views.text import Style, escaped, paint

__all__ = ["render_problems"]

_STYLES = {Severity.ERROR: Style.RED, Severity.WARNING: Style.YELLOW}
_WIDEST = 160


def render_problems(
    problems: Iterable[Problem], sources: Mapping[str, str], *, colour: bool
) -> str:
    """Return the problems as text; `sources` has the text of the files they are in, by name."""
    lines = {name: text.splitlines() for name, text in sources.items()}
    return "".join(_render(problem, lines.get(problem.file, []), colour) for problem in problems)


def _render(problem: Problem, lines: list[str], colour: bool) -> str:
    place = f"{problem.file}:{problem.line}:{problem.column}"
    severity = paint(f"{problem.severity.value}:", _STYLES[problem.severity], colour=colour)
    text = f"{paint(escaped(place), Style.BOLD, colour=colour)}: {severity} "
    text += f"{escaped(problem.message)}\n"
    text += _excerpt(problem, lines, colour)
    return text + (f"  hint: {escaped(problem.hint)}\n" if problem.hint else "")


def _excerpt(problem: Problem, lines: list[str], colour: bool) -> str:
    """Return the line and a mark below its column, if the line is there and fits a screen."""
    if not 1 <= problem.line <= len(lines):
        return ""
    line = lines[problem.line - 1].replace("\t", " ")
    if len(line) > _WIDEST or problem.column > len(line) + 1 or not line.strip():
        return ""
    margin = f"{problem.line:>5} | "
    mark = " " * (len(margin) + len(escaped(line[: problem.column - 1])))
    return f"{margin}{escaped(line)}\n{mark}{paint('^', Style.RED, colour=colour)}\n"
