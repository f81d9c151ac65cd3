"""A command that a shell reads: `{item}` becomes a variable in it, never text. Pure.

What the shell reads is the same for each item, so no item can be read as a part of the command,
whatever is in it. The quotes around a placeholder are followed so that the variable stays one word.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.plan.placeholders import PLACEHOLDER, Field, field_of

__all__ = ["SHELL", "Script", "ScriptError", "script_of"]

SHELL = "/bin/sh"
_VARIABLE = "MPORCH_ITEM"
_WORDS_END = " \t\n;&|()"


class ScriptError(ValueError):
    """A placeholder stands where a shell cannot be given a variable."""


class Script(NamedTuple):
    """What the shell reads, and the variables that it is given, each with its part of the item."""

    text: str
    variables: tuple[tuple[str, Field], ...]


def script_of(text: str) -> Script:
    """Return the script of a command. Raises ScriptError."""
    scanner = _Scanner(text)
    while scanner.at < len(text):
        scanner.step()
    if scanner.variables and scanner.open:
        raise ScriptError(
            f"{scanner.variables[-1][1].text} stands among quotes that are not closed"
        )
    return Script("".join(scanner.told), tuple(scanner.variables))


class _Scanner:
    """Follows what is `open` at a place: quotes, `$(`, backquotes; each by what closes it."""

    def __init__(self, text: str) -> None:
        self.at = 0
        self.told: list[str] = []
        self.open: list[str] = []
        self.variables: list[tuple[str, Field]] = []
        self._text = text
        self._has_document = False

    def step(self) -> None:
        """Take the next character, escape, comment or placeholder."""
        text, at = self._text, self.at
        inside = self.open[-1] if self.open else ""
        if found := PLACEHOLDER.match(text, at):
            piece = field_of(found)
            self._take(len(found[0]), self._variable(piece, inside))
        elif text[at] == "\\" and inside != "'":
            self._take(2)
        elif inside in ("'", '"'):
            self._quoted(text[at], inside)
        else:
            self._bare(text[at], inside)

    def _take(self, n: int, told: str | None = None) -> None:
        self.told.append(self._text[self.at : self.at + n] if told is None else told)
        self.at += n

    def _variable(self, piece: str | Field, inside: str) -> str:
        if isinstance(piece, str):
            return piece
        if self._has_document:
            raise ScriptError(f"{piece.text} stands after <<, where its quotes would be text")
        name = f"{_VARIABLE}_{len(self.variables) + 1}"
        self.variables.append((name, piece))
        variable = f"${{{name}}}"
        return {'"': variable, "'": f"'\"{variable}\"'"}.get(inside, f'"{variable}"')

    def _quoted(self, char: str, quote: str) -> None:
        if char == quote:
            self.open.pop()
        elif quote == '"' and self._text.startswith("$(", self.at):
            self.open.append(")")
            self._take(1)
        elif quote == '"' and char == "`":
            self.open.append("`")
        self._take(1)

    def _bare(self, char: str, inside: str) -> None:
        if char == "#" and (not self.at or self._text[self.at - 1] in _WORDS_END):
            end = self._text.find("\n", self.at)
            self._take((len(self._text) if end < 0 else end) - self.at)
            return
        if char == inside:
            self.open.pop()
        elif char in "'\"`":
            self.open.append(char)
        elif char == "(":
            self.open.append(")")
        elif self._text.startswith("<<", self.at):
            self._has_document = True
        self._take(1)
