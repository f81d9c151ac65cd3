"""Problems of a spec: `file:line:column: error: …`, the line itself, and how to mend it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping

from orchestrator.errors import Problem, Severity
from orchestrator.spec.rules import text_of
from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, escaped, paint

__all__ = ["render_annotations", "render_pointer", "render_problems"]

_STYLES = {Severity.ERROR: Style.RED, Severity.WARNING: Style.YELLOW}
_WIDEST = 160
_LEAST_SHOWN = 20
_MOST_CODES = 8
_LINE_BREAK = re.compile("\r\n|[\n\r]")


def render_problems(problems: Iterable[Problem], sources: Mapping[str, str], paper: Paper) -> str:
    """Return the problems as text, errors first; `sources` has the text of their files, by name."""
    lines = {name: _LINE_BREAK.split(text) for name, text in sources.items()}
    told = (_render(problem, lines.get(problem.file, []), paper) for problem in _apart(problems))
    return "".join(told)


def render_pointer(problems: Iterable[Problem]) -> str:
    """Return a line that says where more is told of the problems' rules."""
    codes = list(dict.fromkeys(problem.code for problem in _apart(problems)))
    more = " …" if len(codes) > _MOST_CODES else ""
    told = " ".join(codes[:_MOST_CODES])
    return f"More on this: mporch explain {told}{more}\n" if codes else ""


def _apart(problems: Iterable[Problem]) -> list[Problem]:
    """Return errors before warnings, each in the order they have."""
    return sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)


def render_annotations(problems: Iterable[Problem]) -> str:
    """Return the problems as commands for GitHub Actions, errors first: it shows only some."""
    return "".join(map(_annotation, _apart(problems)))


def _annotation(problem: Problem) -> str:
    fields = {
        "file": problem.file,
        "line": problem.line,
        "col": problem.column,
        "title": f"{problem.code} {text_of(problem.rule).title}",
    }
    if problem.width > 1:
        fields["endColumn"] = problem.column + problem.width
    told = ",".join(f"{key}={_quoted(str(value), ':,')}" for key, value in fields.items())
    raised = f"\n{_indented(problem.traceback)}".rstrip("\n")
    hint = f"\nhint: {escaped(problem.hint)}" if problem.hint else ""
    return (
        f"::{problem.severity.value} {told}::{_quoted(escaped(problem.message) + raised + hint)}\n"
    )


def _quoted(text: str, also: str = "") -> str:
    """Return `text` with each character that ends a command, or a part of one, as %XX."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{also}" else c for c in text)


def _render(problem: Problem, lines: list[str], paper: Paper) -> str:
    hint = _folded(f"  hint: {escaped(problem.hint)}", paper) if problem.hint else ""
    raised = _indented(problem.traceback)
    return _head(problem, paper) + _excerpt(problem, lines, paper) + raised + hint


def _indented(traceback: str) -> str:
    return "".join(f"  {escaped(line)}\n" for line in traceback.splitlines())


def _head(problem: Problem, paper: Paper) -> str:
    place = escaped(f"{problem.file}:{problem.line}:{problem.column}")
    severity = f"{problem.severity.value}:"
    message = escaped(problem.message)
    text = _folded(f"{place}: {severity} {message} [{problem.code}]", paper)
    if not paper.colour or not text.startswith(place):
        return text
    before, _, after = text.removeprefix(place).partition(severity)
    style = _STYLES[problem.severity]
    place = paint(place, Style.BOLD, colour=True)
    return f"{place}{before}{paint(severity, style, colour=True)}{after}"


def _folded(text: str, paper: Paper) -> str:
    """Fold a line between its words to the paper's width; a longer word is left as it is."""
    if len(text) < paper.width:
        return text + "\n"
    lines = textwrap.wrap(
        text,
        max(_LEAST_SHOWN, paper.width - 1),
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


def _excerpt(problem: Problem, lines: list[str], paper: Paper) -> str:
    """Return the line, or what of it the paper has room for, and marks below what is meant."""
    if not 1 <= problem.line <= len(lines):
        return ""
    line = lines[problem.line - 1].replace("\t", " ")
    if problem.column > len(line) + 1 or not line.strip():
        return ""
    margin = f"{problem.line:>5} | "
    room = max(_LEAST_SHOWN, min(_WIDEST, paper.width - 1) - len(margin))
    start = problem.column - 1
    end = start + problem.width if problem.width else len(line.rstrip())
    before, meant = escaped(line[:start]), escaped(line[start:end])
    before, after = _cropped(before, escaped(line[start:]), room)
    marks = "^" * max(1, min(_cells(meant), _cells(after)))
    mark = " " * (len(margin) + _cells(before)) + paint(marks, Style.RED, colour=paper.colour)
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


def _cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes: a wide character has two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 -- rich takes long to import

    return cell_len(text)
