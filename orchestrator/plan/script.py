"""Commands with `{item}` in them: what of the item is meant, and what a shell reads of it. Pure.

Read in the parent, where a command is checked, and in the child, where it is run. What the shell
reads is the same for each item: `{item}` becomes a variable in it, never text, so no item can be
read as a part of the command, whatever is in it. The quotes around a placeholder are followed so
that the variable stays one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from orchestrator.spec.compose.shell import Quotes

__all__ = [
    "PLACEHOLDER",
    "SHELL",
    "Field",
    "Piece",
    "Script",
    "ScriptError",
    "field_of",
    "fields_of",
    "pieces_of",
    "script_of",
]

SHELL = "/bin/sh"
PLACEHOLDER = re.compile(r"\{\{item[^{}\n]*\}\}|\{item((?:\[[^][{}\n]+\]|\.[^][{}.\s]+)*)\}")
"""`{item}`, `{item[key]}`, `{item.name}`; `{{item}}` is that text in single braces."""

_STEP = re.compile(r"\[([^]]+)\]|\.([^][.]+)")
_VARIABLE = "MPORCH_ITEM"
_NOTHING = object()


class Field(NamedTuple):
    """A part of the item: the `steps` that lead to it, each a key or the name of an attribute."""

    text: str
    steps: tuple[tuple[str, str], ...]

    def value_of(self, item: Any) -> Any:
        """Return that part of the item. Raises LookupError if it has none."""
        for key, name in self.steps:
            found, item = item, _entry(item, key) if key else _attribute(item, name)
            if item is _NOTHING:
                kind = type(found).__name__
                raise LookupError(f"{self.text}: a {kind} has no {key or name}")
        return item


Piece: TypeAlias = str | Field


def pieces_of(text: str) -> Iterator[Piece]:
    """Yield what a text is made of, in order: text as it is, and fields."""
    at = 0
    for found in PLACEHOLDER.finditer(text):
        yield text[at : found.start()]
        yield field_of(found)
        at = found.end()
    yield text[at:]


def fields_of(text: str) -> list[Field]:
    """Return the fields in a text."""
    return [piece for piece in pieces_of(text) if isinstance(piece, Field)]


def field_of(found: re.Match[str]) -> Piece:
    """Return what a placeholder stands for: a field, or itself in single braces."""
    if found[0].startswith("{{"):
        return found[0][1:-1]
    return Field(found[0], tuple(_STEP.findall(found[1])))


def _entry(item: Any, key: str) -> Any:
    if isinstance(item, Mapping):
        if key in item:
            return item[key]
        return item.get(int(key), _NOTHING) if key.isdecimal() else _NOTHING
    if isinstance(item, Sequence) and key.isdecimal():
        return item[int(key)] if int(key) < len(item) else _NOTHING
    return _NOTHING


def _attribute(item: Any, name: str) -> Any:
    """Return what `.name` means: an entry of a mapping, an attribute of anything else."""
    if isinstance(item, Mapping):
        return item.get(name, _NOTHING)
    return _NOTHING if name.startswith("_") else getattr(item, name, _NOTHING)


class ScriptError(ValueError):
    """A placeholder stands where a shell cannot be given a variable."""


class Script(NamedTuple):
    """What the shell reads, and the variables that it is given, each with its part of the item."""

    text: str
    variables: tuple[tuple[str, Field], ...]


def script_of(text: str) -> Script:
    """Return the script of a command. Raises ScriptError."""
    quotes, told = Quotes(), list[str]()
    variables: list[tuple[str, Field]] = []
    at = 0
    for found in PLACEHOLDER.finditer(text):
        quotes.read(text[at : found.start()])
        told.append(text[at : found.start()])
        at = found.end()
        piece = field_of(found)
        if quotes.in_comment or quotes.escaped:
            quotes.read(found[0])
            told.append(found[0])
        elif isinstance(piece, str):
            quotes.read(piece)
            told.append(piece)
        else:
            if quotes.after_document:
                raise ScriptError(f"{piece.text} stands after <<, where its quotes would be text")
            variables.append((f"{_VARIABLE}_{len(variables) + 1}", piece))
            told.append(quotes.variable(variables[-1][0]))
            quotes.pass_word()
    quotes.read(text[at:])
    if variables and quotes.open:
        raise ScriptError(f"{variables[-1][1].text} stands among quotes that are not closed")
    return Script("".join([*told, text[at:]]), tuple(variables))
