"""A command that a shell reads: `{item}` becomes a variable in it, never text. Pure.

What the shell reads is the same for each item, so no item can be read as a part of the command,
whatever is in it. The quotes around a placeholder are followed so that the variable stays one word.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.plan.placeholders import PLACEHOLDER, Field, field_of
from orchestrator.spec.compose.shell import Quotes

__all__ = ["SHELL", "Script", "ScriptError", "script_of"]

SHELL = "/bin/sh"
_VARIABLE = "MPORCH_ITEM"


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
