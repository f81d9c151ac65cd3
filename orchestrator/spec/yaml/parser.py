"""The parser's events of a YAML text; what it says of broken text, in the words of a user."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.errors import Rule
from orchestrator.spec import rules
from orchestrator.spec.wording import show
from orchestrator.spec.words import words_of
from orchestrator.spec.yaml.nodes import Path, Position

__all__ = ["MAX_DEPTH", "Flaw", "SyntaxFlaw", "events_of", "too_deep"]

MAX_DEPTH = 64
_CONFLICT = re.compile("<<<<<<<|=======|>>>>>>>")
_BARE_WORD = re.compile(
    r"""(?:[^\s,\[\]{}"'$]|\$(?!\{))*(?:\$\{[^{}]*\}(?:[^\s,\[\]{}"'$]|\$(?!\{))*)+"""
)
_LINE_BREAK = re.compile("\r\n|[\n\r]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something wrong with the text as YAML, or with what a variable in it stands for.

    `width` is in characters, 0 to the end of the line. `path` leads there, where it is known.
    """

    rule: Rule
    message: str
    hint: str
    position: Position
    width: int = 1
    path: Path = ()


class SyntaxFlaw(Exception):  # noqa: N818 -- it carries a flaw, as those that stop nothing do
    """The text cannot be read to its end."""

    def __init__(
        self, rule: Rule, message: str, position: Position, hint: str = "", *, width: int = 1
    ) -> None:
        super().__init__(message)
        self.flaw = Flaw(rule=rule, message=message, hint=hint, position=position, width=width)


def events_of(text: str) -> Iterator[Any]:
    """Yield the parser's events.

    The scanner reads ahead of the parser, and some versions have a limit of their own: what is
    nested too deep before the place it stopped at is told first.

    Raises:
        SyntaxFlaw: the text is no YAML, or its error comes after a level that is too deep.

    """
    try:
        yield from _parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise _reworded(error, text, Position(1, 1)) from None
        if (deep := _deep_level(text[: mark.index])) is not None:
            raise too_deep(deep) from None
        raise _reworded(error, text, _position(mark)) from None
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise SyntaxFlaw(rules.NOT_YAML, message, Position(1, 1)) from None


def _parse(text: str) -> Iterator[Any]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except (ValueError, OverflowError):  # "\\UFFFFFFFF", where there is no C library
        problem, mark = "invalid Unicode character escape", loader.get_mark()
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark) from None
    finally:
        loader.dispose()


def too_deep(position: Position) -> SyntaxFlaw:
    """Return the flaw of a list or mapping at `position` that has too many around it."""
    msg, hint = f"nested deeper than {MAX_DEPTH} levels", "is a bracket never closed?"
    return SyntaxFlaw(rules.TOO_DEEP, msg, position, hint)


def _deep_level(text: str) -> Position | None:
    """Return where the first level that is too deep opens in the beginning of a broken text."""
    depth = 0
    with contextlib.suppress(yaml.YAMLError):  # it ends anywhere
        for event in _parse(text):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    return _position(event.start_mark)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    return None


def _reworded(error: yaml.MarkedYAMLError, text: str, at: Position) -> SyntaxFlaw:
    problem, context = error.problem or "not valid YAML", error.context or ""
    began = error.context_mark
    opened = at if began is None else _position(began)
    if "incompatible YAML document" in problem:
        message = "this is for another version of YAML"
        return SyntaxFlaw(rules.OLD_YAML, message, at, "remove the %YAML line", width=0)
    if "invalid Unicode character escape" in problem:
        message = "an escape that stands for no character"
        return SyntaxFlaw(rules.HALF_CHARACTER, message, at, "write the character itself")
    line = _line(text, at.line)
    if "cannot start any token" in problem:
        character = line[at.column - 1 : at.column]
        if character == "\t":
            return SyntaxFlaw(rules.TAB, "a tab cannot indent or separate", at, "use spaces")
        message = f"{show(character)} cannot start a value"
        return SyntaxFlaw(rules.NOT_YAML, message, at, "put the value in quotes")
    if "${" in line and "flow" in context:
        written = _with_reference(line, at.column)
        message, hint = f"{written} within {{ }} or [ ] needs quotes", f'write "{written}"'
        return SyntaxFlaw(rules.NOT_YAML, message, at, hint)
    if "quoted scalar" in context and "end of stream" in problem:
        message, hint = "this quote is never closed", "close it, or double a quote inside it"
        return SyntaxFlaw(rules.NOT_YAML, message, opened, hint)
    for number in (at.line, at.line - 1):
        if _CONFLICT.match(_line(text, number)):
            message, hint = "a merge conflict was left in the file", "keep one of its two sides"
            return SyntaxFlaw(rules.NOT_YAML, message, Position(number, 1), hint, width=7)
    if (end := _end(text)) < at:
        if "flow" in context:
            known = opened <= end
            message = "this bracket is never closed" if known else "the text ends within a bracket"
            hint = "close it with ] or }, as it was opened"
            return SyntaxFlaw(rules.NOT_YAML, message, opened if known else end, hint)
        at = end
    message, hint = _in_words_of_yaml(f"{context}: {problem}" if context else problem, opened)
    return SyntaxFlaw(rules.NOT_YAML, message, at, hint)


def _with_reference(line: str, column: int) -> str:
    """Return the word with a `${…}` in it at a column of a line, or the last one before."""
    words = list(_BARE_WORD.finditer(line))
    before = [word for word in words if word.start() < column]
    return (before[-1] if before else words[0])[0] if words else "${…}"


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _end(text: str) -> Position:
    """Return the place of the last character of the text that is no space."""
    lines = _LINE_BREAK.split(text.rstrip())
    return Position(len(lines), max(1, len(lines[-1])))


def _line(text: str, number: int) -> str:
    lines = _LINE_BREAK.split(text)
    return lines[number - 1] if 1 <= number <= len(lines) else ""


def _in_words_of_yaml(problem: str, opened: Position) -> tuple[str, str]:
    """Return a message and a hint for `problem`; `opened` is where what is broken began."""
    for each in words_of("parser")["message"]:
        if any(part in problem for part in each["parts"]):
            return each["say"], each["hint"].replace("{}", f"{opened.line}:{opened.column}")
    return problem, ""
