"""Findings of an examination, and their lines for a terminal."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Iterable

import msgspec

from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, escaped, paint

__all__ = ["Finding", "Verdict", "render_finding", "render_verdict"]


class Verdict(enum.Enum):
    """How much something matters as it was found."""

    OK = "ok"
    """As it should be."""
    SLOWER = "slower"
    """Everything works, but takes longer."""
    LIMITED = "limited"
    """Runs work; something that is named does not."""
    BROKEN = "broken"
    """No run will work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, and what it means where that is to be known."""

    name: str
    verdict: Verdict
    found: str
    means: str = ""


_STYLES = {
    Verdict.OK: Style.GREEN,
    Verdict.SLOWER: Style.YELLOW,
    Verdict.LIMITED: Style.YELLOW,
    Verdict.BROKEN: Style.RED,
}
_ORDER = (Verdict.BROKEN, Verdict.LIMITED, Verdict.SLOWER)
_NAMES = 20
_VERDICTS = 9
_NARROWEST = 40


def render_finding(finding: Finding, paper: Paper) -> str:
    """Return a line, and below it what it means, if that is to be known."""
    word = finding.verdict.value
    verdict = paint(word, _STYLES[finding.verdict], colour=paper.colour)
    beside = f"{finding.name:<{_NAMES}}{escaped(finding.found)}"
    line = f"{verdict}{' ' * (_VERDICTS - len(word))}{beside}\n"
    if not finding.means:
        return line
    margin = " " * (_VERDICTS + _NAMES)
    width = max(min(paper.width, 100), len(margin) + _NARROWEST)
    told = textwrap.fill(
        finding.means,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f"{line}{told}\n"


def render_verdict(findings: Iterable[Finding]) -> str:
    """Return the line that sums up."""
    found = list(findings)
    named = {word: [each.name for each in found if each.verdict is word] for word in _ORDER}
    told = [f"{word.value}: {', '.join(names)}" for word, names in named.items() if names]
    return f"{'; '.join(told)}\n" if told else "all is as it should be\n"
