"""The parser's events of a YAML text; what it says of broken text, in the words of a user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.errors import Rule
from orchestrator.spec.nodes import Position
from orchestrator.spec.rules import syntax
from orchestrator.spec.wording import show

__all__ = ["Flaw", "SyntaxFlaw", "events_of"]

_HINTS = {
    "mapping values are not allowed": 'put text that holds ": " in quotes',
    "expected ':'": "is a colon missing, or a quote open?",
    "did not find expected": "the indentation or a bracket does not fit the lines above",
    "but found": "the indentation or a bracket does not fit the lines above",
    "unexpected end of stream": "a quote or bracket is never closed",
}
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something wrong with the text as YAML; `width` in characters, 0 to the end of the line."""

    rule: Rule
    message: str
    hint: str
    position: Position
    width: int = 1


class SyntaxFlaw(Exception):  # noqa: N818 -- it carries a flaw, as those that stop nothing do
    """The text cannot be read to its end."""

    def __init__(
        self, rule: Rule, message: str, position: Position, hint: str = "", *, width: int = 1
    ) -> None:
        super().__init__(message)
        self.flaw = Flaw(rule=rule, message=message, hint=hint, position=position, width=width)


def events_of(text: str) -> Iterator[Any]:
    """Yield the parser's events.

    Raises:
        SyntaxFlaw: the text is no YAML.

    """
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise _reworded(error, text, position) from None
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise SyntaxFlaw(syntax.NOT_YAML, message, Position(1, 1)) from None


def _reworded(error: yaml.MarkedYAMLError, text: str, at: Position) -> SyntaxFlaw:
    problem = error.problem or "not valid YAML"
    if "incompatible YAML document" in problem:
        return SyntaxFlaw(syntax.OLD_YAML, problem, at, "remove the %YAML line", width=0)
    if "invalid Unicode character escape" in problem:
        message = "an escape that stands for no character"
        return SyntaxFlaw(syntax.HALF_CHARACTER, message, at, "write the character itself")
    if "cannot start any token" in problem:
        line = _LINE_BREAK.split(text)[at.line - 1]
        character = line[at.column - 1 : at.column]
        if character == "\t":
            return SyntaxFlaw(syntax.TAB, "a tab cannot indent or separate", at, "use spaces")
        message = f"{show(character)} cannot start a value"
        return SyntaxFlaw(syntax.NOT_YAML, message, at, "put the value in quotes")
    context = f"{error.context}: " if error.context else ""
    hint = next((hint for part, hint in _HINTS.items() if part in problem), "")
    return SyntaxFlaw(syntax.NOT_YAML, f"{context}{problem}", at, hint)
