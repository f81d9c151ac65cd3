"""The catalogue of rules: a list of them, one in full for a terminal, all of them as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from orchestrator.errors import Rule, Severity
from orchestrator.spec.rules import examples_module, text_of, themes
from orchestrator.views.tables import Column, Paper, table
from orchestrator.views.text import Style, paint

__all__ = ["render_page", "render_rule", "render_rules"]

_STYLES = {Severity.ERROR: Style.RED, Severity.WARNING: Style.YELLOW}
_WIDEST = 88
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
        return "".join(_folded(f"{code}  {title}", paper, hang=7) for code, _, title in rows)
    return table(columns, rows, paper)


def _longest(rows: Iterable[tuple[str, str, str]]) -> int:
    return max(sum(len(cell) + 2 for cell in row) for row in rows)


def render_rule(rule: Rule, paper: Paper) -> str:
    """Return all that the catalogue says of one rule."""
    text = text_of(rule)
    severity = paint(rule.severity.value, _STYLES[rule.severity], colour=paper.colour)
    head = paint(f"{rule.code}: {text.title}", Style.BOLD, colour=paper.colour)
    parts = [f"{head} ({severity})\n", _folded(text.why, paper)]
    for title, example in (("Wrong", text.wrong), ("Right", text.right)):
        name = paint(title, Style.BOLD, colour=paper.colour)
        parts.append(f"{name}:\n\n{textwrap.indent(example, '    ')}")
    return "\n".join(parts)


def _folded(text: str, paper: Paper, *, hang: int = 0, most: int = _WIDEST) -> str:
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
    why = _folded(kind + text.why, Paper(width=_PAGE_WIDTH), most=_PAGE_WIDTH)
    head = f"### {rule.code}: {text.title}\n\n{why}"
    return f"{head}\nWrong:\n\n{_blocks(text.wrong)}\nRight:\n\n{_blocks(text.right)}"


def _blocks(example: str) -> str:
    """Return an example as blocks of Markdown: its commands, then its spec."""
    lines = example.splitlines(keepends=True)
    shell = "".join(line for line in lines if line.startswith("$ "))
    spec = "".join(line for line in lines if not line.startswith("$ "))
    blocks = [("console", shell), ("yaml", spec)]
    return "\n".join(f"```{language}\n{text}```\n" for language, text in blocks if text)
