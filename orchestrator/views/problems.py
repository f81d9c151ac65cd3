"""Problems of a spec: `file:line:column: error: …`, the line itself, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.errors import Problem, Severity
from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, escaped, paint

__all__ = ["render_problems"]

_STYLES = {Severity.ERROR: Style.RED, Severity.WARNING: Style.YELLOW}
_WIDEST = 160
_LEAST_SHOWN = 20


def render_problems(problems: Iterable[Problem], sources: Mapping[str, str], paper: Paper) -> str:
    """Return the problems as text; `sources` has the text of the files they are in, by name."""
    lines = {name: text.splitlines() for name, text in sources.items()}
    return "".join(_render(problem, lines.get(problem.file, []), paper) for problem in problems)


def _render(problem: Problem, lines: list[str], paper: Paper) -> str:
    colour = paper.colour
    place = f"{problem.file}:{problem.line}:{problem.column}"
    severity = paint(f"{problem.severity.value}:", _STYLES[problem.severity], colour=colour)
    text = f"{paint(escaped(place), Style.BOLD, colour=colour)}: {severity} "
    text += f"{escaped(problem.message)}\n"
    text += _excerpt(problem, lines, paper)
    return text + (f"  hint: {escaped(problem.hint)}\n" if problem.hint else "")


def _excerpt(problem: Problem, lines: list[str], paper: Paper) -> str:
    """Return the line, or what of it the paper has room for, and a mark below its column."""
    if not 1 <= problem.line <= len(lines):
        return ""
    line = lines[problem.line - 1].replace("\t", " ")
    if problem.column > len(line) + 1 or not line.strip():
        return ""
    margin = f"{problem.line:>5} | "
    room = max(_LEAST_SHOWN, min(_WIDEST, paper.width - 1) - len(margin))
    before, after = escaped(line[: problem.column - 1]), escaped(line[problem.column - 1 :])
    before, after = _cropped(before, after, room)
    mark = " " * len(margin + before) + paint("^", Style.RED, colour=paper.colour)
    return f"{margin}{before}{after}\n{mark}\n"


def _cropped(before: str, after: str, room: int) -> tuple[str, str]:
    """Cut a line to `room` characters, around the place between `before` and `after`."""
    if len(before) + len(after) <= room:
        return before, after
    kept = max(room // 2, room - len(after))
    if len(before) > kept:
        before = "…" + before[len(before) - kept + 1 :]
    if len(after) > room - len(before):
        after = after[: room - len(before) - 1] + "…"
    return before, after
