"""Findings about the machine, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, escaped, paint

__all__ = ["FindingRow", "render_finding", "render_verdict"]

_STYLES = {"ok": Style.GREEN, "slower": Style.YELLOW, "limited": Style.YELLOW, "broken": Style.RED}
_ORDER = ("broken", "limited", "slower")
_NAMES = 20
_VERDICTS = 9
_NARROWEST = 40


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """A thing that was looked at: its verdict in a word, what was found, and what that means."""

    name: str
    verdict: str
    found: str
    means: str = ""


def render_finding(row: FindingRow, paper: Paper) -> str:
    """Return a line, and below it what it means, if that is to be known."""
    style = _STYLES.get(row.verdict)
    verdict = paint(row.verdict, style, colour=paper.colour) + " " * (_VERDICTS - len(row.verdict))
    line = f"{verdict}{row.name:<{_NAMES}}{escaped(row.found)}\n"
    if not row.means:
        return line
    margin = " " * (_VERDICTS + _NAMES)
    width = max(min(paper.width, 100), len(margin) + _NARROWEST)
    told = textwrap.fill(
        row.means,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f"{line}{told}\n"


def render_verdict(rows: Iterable[FindingRow]) -> str:
    """Return the line that sums up."""
    counts = [(word, [row.name for row in rows]) for word, rows in _by_verdict(rows).items()]
    told = [f"{word}: {', '.join(names)}" for word, names in counts if names]
    return f"{'; '.join(told)}\n" if told else "all is as it should be\n"


def _by_verdict(rows: Iterable[FindingRow]) -> dict[str, Sequence[FindingRow]]:
    found = list(rows)
    return {word: [row for row in found if row.verdict == word] for word in _ORDER}
