"""`{item}` in a command: where it stands, and what of the item is meant. Pure.

Read in the parent, where a command is checked, and in the child, where it is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

__all__ = ["PLACEHOLDER", "Field", "Piece", "field_of", "fields_of", "pieces_of"]

PLACEHOLDER = re.compile(r"\{\{item[^{}\n]*\}\}|\{item((?:\[[^][{}\n]+\]|\.[^][{}.\s]+)*)\}")
"""`{item}`, `{item[key]}`, `{item.name}`; `{{item}}` is that text in single braces."""

_STEP = re.compile(r"\[([^]]+)\]|\.([^][.]+)")


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


_NOTHING = object()


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
