"""Quoting in a text for /bin/sh: what is open at a place, and a value as one word there. Pure.

After POSIX.1-2017, Shell Command Language, 2.2 (quoting), 2.3 (tokens) and 2.6.3 (backquotes).
"""

from __future__ import annotations

import re
import shlex

__all__ = ["Quotes"]

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
