"""Problems of a spec with their lines and hints, and the catalogue of the rules that they break."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping

from orchestrator.errors import Problem, Rule, Severity
from orchestrator.spec.rules import examples_module, text_of, themes
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, cells_of, escaped, paint

__all__ = [
    "render_annotations",
    "render_page",
    "render_pointer",
    "render_problems",
    "render_rule",
    "render_rules",
]


_STYLES = {Severity.ERROR: Style.RED, Severity.WARNING: Style.YELLOW}
_WIDEST_LINE = 160
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
    room = max(_LEAST_SHOWN, min(_WIDEST_LINE, paper.width - 1) - len(margin))
    start = problem.column - 1
    end = start + problem.width if problem.width else len(line.rstrip())
    before, meant = escaped(line[:start]), escaped(line[start:end])
    before, after = _cropped(before, escaped(line[start:]), room)
    marks = "^" * max(1, min(cells_of(meant), cells_of(after)))
    mark = " " * (len(margin) + cells_of(before)) + paint(marks, Style.RED, colour=paper.colour)
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


_WIDEST_RULE = 88
_PAGE_WIDTH = 118
_PAGE = """\
# The rules of a spec

Each problem that `mporch validate` reports ends in the code of a rule. A code keeps its meaning
for ever. `mporch explain MP201` prints a section of this page, which is written from the same
catalogue (`mporch explain --format markdown`). Errors keep a spec from running; warnings do not,
unless `validate --strict` says so.

The examples are checked beside this `mine.py`. Lines with a `$` are run first, in the same folder.

```python
{mine}```
"""


def render_rules(paper: Paper) -> str:
    """Return a table of all rules."""
    columns = (Column(title="CODE"), Column(title="", rank=1), Column(title="RULE"))
    rows = [(r.code, r.severity.value, text_of(r).title) for theme in themes() for r in theme.rules]
    if paper.width < _longest(rows):
        return "".join(_wrapped(f"{code}  {title}", paper, hang=7) for code, _, title in rows)
    return table(columns, rows, paper)


def _longest(rows: Iterable[tuple[str, str, str]]) -> int:
    return max(sum(len(cell) + 2 for cell in row) for row in rows)


def render_rule(rule: Rule, paper: Paper) -> str:
    """Return all that the catalogue says of one rule."""
    text = text_of(rule)
    severity = paint(rule.severity.value, _STYLES[rule.severity], colour=paper.colour)
    head = paint(f"{rule.code}: {text.title}", Style.BOLD, colour=paper.colour)
    parts = [f"{head} ({severity})\n", _wrapped(text.why, paper)]
    for title, example in (("Wrong", text.wrong), ("Right", text.right)):
        name = paint(title, Style.BOLD, colour=paper.colour)
        parts.append(f"{name}:\n\n{textwrap.indent(example, '    ')}")
    return "\n".join(parts)


def _wrapped(text: str, paper: Paper, *, hang: int = 0, most: int = _WIDEST_RULE) -> str:
    width = min(most, paper.width)
    lines = textwrap.wrap(
        text, width, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"


def render_page() -> str:
    """Return docs/rules.md."""
    parts = [_PAGE.format(mine=examples_module())]
    for theme in themes():
        parts.append(f"## {theme.title}\n")
        parts += map(_section, theme.rules)
    return "\n".join(parts)


def _section(rule: Rule) -> str:
    text = text_of(rule)
    kind = "" if rule.severity is Severity.ERROR else "A warning. "
    why = _wrapped(kind + text.why, Paper(width=_PAGE_WIDTH), most=_PAGE_WIDTH)
    head = f"### {rule.code}: {text.title}\n\n{why}"
    return f"{head}\nWrong:\n\n{_blocks(text.wrong)}\nRight:\n\n{_blocks(text.right)}"


def _blocks(example: str) -> str:
    """Return an example as blocks of Markdown: its commands, then its spec."""
    lines = example.splitlines(keepends=True)
    shell = "".join(line for line in lines if line.startswith("$ "))
    spec = "".join(line for line in lines if not line.startswith("$ "))
    blocks = [("console", shell), ("yaml", spec)]
    return "\n".join(f"```{language}\n{text}```\n" for language, text in blocks if text)
