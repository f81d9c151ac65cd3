"""Commands for /bin/sh: quoting, and each `${…}` as one word that is never source. Pure.

What the shell reads is the same whatever the values are, so none can become a part of it, and
whether it is well formed depends on none: each is a variable of the shell. Quoting is after
POSIX.1-2017, Shell Command Language, 2.2 (quoting), 2.3 (tokens) and 2.6.3 (backquotes).
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.spec.compose.variables import Reference
from orchestrator.spec.wording import HintedError
from orchestrator.spec.yaml.nodes import SET, VAR, ScalarNode, Word

__all__ = ["Quotes", "ScriptFlaw", "ShellScript", "Value", "script_of"]

_WORD_ENDS = frozenset(" \t\n;&|()")
_SPECIAL_IN_DOUBLE = re.compile(r'([\\"$`])')


class Quotes:
    """Follows a text piece by piece.

    `open` has what closes each quote, `(` and backquote that is open, the innermost last.
    `after_document` is set behind `<<`, `escaped` behind a backslash that takes the next character
    as it is.
    """

    def __init__(self) -> None:
        self.open: list[str] = []
        self.after_document = False
        self.escaped = False
        self.in_comment = False
        self._before = ""
        """The character before, if the shell reads it as one of its own."""
        self._at_word = True

    @property
    def inside(self) -> str:
        """Return what closes the innermost quote or bracket that is open; empty if none is."""
        return self.open[-1] if self.open else ""

    def read(self, text: str) -> None:
        """Go on over a piece of the text."""
        for char in text:
            self._step(char)

    def pass_word(self) -> None:
        """Go on over a word, or a part of one, that opens and closes nothing."""
        self._before, self._at_word = "", False

    def variable(self, name: str) -> str:
        """Return how the shell's variable `name` is written as one word, or a part of one, here."""
        variable = f"${{{name}}}"
        return {'"': variable, "'": f"'\"{variable}\"'"}.get(self.inside, f'"{variable}"')

    def word(self, value: str) -> str:
        """Return how a person would write `value` here as one word; not for the shell to read."""
        if self.inside == '"':
            return _SPECIAL_IN_DOUBLE.sub(r"\\\1", value)
        return value.replace("'", "'\\''") if self.inside == "'" else shlex.quote(value)

    def _step(self, char: str) -> None:
        before, self._before = self._before, char
        starts_word, self._at_word = self._at_word, char in _WORD_ENDS
        if self.in_comment:
            self.in_comment = char != "\n"
        elif self.escaped:
            self.escaped, self._before, self._at_word = False, "", False
        elif char == "\\" and self.inside != "'":
            self.escaped = True
        elif self.inside in ("'", '"'):
            self._quoted(before + char, self.inside)
        elif char == "#" and starts_word:
            self.in_comment = True
        else:
            self._bare(before + char)

    def _quoted(self, pair: str, quote: str) -> None:
        char = pair[-1]
        if char == quote:
            self.open.pop()
        elif quote == '"' and pair == "$(":
            self.open.append(")")
        elif quote == '"' and char == "`":
            self._backquote()

    def _bare(self, pair: str) -> None:
        char = pair[-1]
        if char == "`":
            self._backquote()
        elif char == self.inside:
            self.open.pop()
        elif char in "'\"":
            self.open.append(char)
        elif char == "(":
            self.open.append(")")
        elif pair == "<<":
            self.after_document = True

    def _backquote(self) -> None:
        """Close the backquotes that are open, with what they hold; or open some."""
        if "`" not in self.open:
            self.open.append("`")
            return
        while self.open.pop() != "`":
            pass


_VARIABLE = "MPORCH_VALUE"
_READ_BARE = frozenset(" \t\n'\"\\$`;&|<>()*?[]#~{}!")


class ScriptFlaw(HintedError):  # noqa: N818 -- it becomes a flaw, as SyntaxFlaw does
    """A reference that stands where the shell cannot be given a variable, or names no source."""

    def __init__(self, message: str, hint: str, reference: Reference) -> None:
        super().__init__(message, hint)
        self.reference = reference


@dataclass(frozen=True, slots=True)
class Value:
    """What a reference in a script stands for."""

    reference: Reference
    found: ScalarNode


Part: TypeAlias = str | Value


@dataclass(frozen=True, slots=True)
class ShellScript:
    """What the shell reads, how that is told and kept, and the variables that it is given."""

    text: str
    told: str
    words: tuple[Word, ...]


def script_of(parts: Iterable[Part]) -> ShellScript:
    """Return the script made of pieces of text, and of values.

    Raises:
        ScriptFlaw: a value cannot stand where it stands.

    """
    quotes, words, seen = Quotes(), list[Word](), Counter[str]()
    text, told = list[str](), list[str]()
    for part in parts:
        if isinstance(part, Value):
            seen[part.reference.written] += 1
        if isinstance(part, str):
            quotes.read(part)
            text.append(part)
            told.append(part.replace("$$", "$$$$").replace("${", "$${"))
        elif part.reference.shell:
            source = _source(part)
            quotes.read(source)
            text.append(source)
            told.append(source.replace("$$", "$$$$").replace("${", "$${"))
        elif quotes.in_comment:
            text.append(_written(part))
            told.append(_written(part))
        else:
            _check_place(part, quotes)
            before = seen[part.reference.written] - 1
            word = _word(part, quotes, len(words) + 1)._replace(before=before)
            words.append(word)
            text.append(quotes.variable(word.variable))
            told.append(part.found.shown or quotes.word(word.value))
            quotes.pass_word()
    return ShellScript("".join(text), "".join(told), tuple(words))


def _source(part: Value) -> str:
    """Return what is handed on as source: only what the spec's author has written."""
    found = part.found
    if not _is_of_the_spec(part):
        giver = "the environment" if found.shown is not None else "the command line"
        message = f"{_written(part)} would be read by the shell, and {giver} gives its value"
        name = part.reference.name
        raise ScriptFlaw(message, f"write ${{{name}}}, which is one word", part.reference)
    return found.text


def _is_of_the_spec(part: Value) -> bool:
    places = [named.position for named in part.found.named]
    return part.found.shown is None and not any(at and at.file in (VAR, SET) for at in places)


def _check_place(part: Value, quotes: Quotes) -> None:
    written = _written(part)
    if quotes.escaped:
        message = f"a backslash stands before {written}, and takes nothing of it"
        hint = f"remove it, or write $${{{part.reference.name}}} for the shell's own variable"
        raise ScriptFlaw(message, hint, part.reference)
    if quotes.after_document:
        message = f"{written} stands after <<, where its quotes would be text"
        hint = "give it a name under env:, and write that here as the shell's: $NAME"
        raise ScriptFlaw(message, hint, part.reference)


def _word(part: Value, quotes: Quotes, number: int) -> Word:
    value, is_bare = part.found.text, quotes.inside not in ("'", '"')
    return Word(
        variable=f"{_VARIABLE}_{number}",
        value=value,
        written=part.reference.written,
        would_be_read=is_bare and (not value or not _READ_BARE.isdisjoint(value)),
        given=part.found.shown is not None,
        source=_as_source(part),
    )


def _as_source(part: Value) -> str | None:
    """Return the reference that hands the value on as source, if there is one."""
    reference = part.reference
    # `:shell` leaves no room for a default, so what has one may have no value without it.
    if reference.default is not None or not _is_of_the_spec(part):
        return None
    return f"${{{reference.name}:shell}}"


def _written(part: Value) -> str:
    return f"${{{part.reference.name}}}"
