"""References within a text: `${NAME}`, `${NAME:-default}`, `${NAME:?why}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Reference", "ReferenceFlaw", "pieces_of"]

_MARK = re.compile(r"\$[${]")
_FORM = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)(?::(?:(?P<shell>shell)|(?P<sign>[-?])(?P<rest>.*)))?",
    re.ASCII | re.DOTALL,
)
_SHELL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*(?::?[-+?=]|[#%/^,@]|:)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `${…}`. `start` and `width` say where it stands in its text, in characters.

    Of `default` (`:-`), `message` (`:?`) and `shell` (`:shell`: source for the shell) at most one
    is there.
    """

    name: str
    start: int
    width: int
    default: str | None = None
    message: str | None = None
    shell: bool = False

    @property
    def written(self) -> str:
        """The text of it."""
        rest = ":shell" if self.shell else ""
        if self.default is not None:
            rest = f":-{self.default}"
        elif self.message is not None:
            rest = f":?{self.message}"
        return f"${{{self.name}{rest}}}"


class ReferenceFlaw(ValueError):  # noqa: N818 -- it becomes a flaw, as SyntaxFlaw does
    """A `${` that begins no reference.

    `hint` says how to write it; `start` and `width` are as in `Reference`.
    """

    def __init__(self, message: str, hint: str, *, start: int, width: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.start = start
        self.width = width


def pieces_of(text: str) -> list[str | Reference]:
    """Return `text` as plain pieces and references, `$$` as a plain dollar.

    A dollar before anything else stands for itself.

    Raises:
        ReferenceFlaw: a `${` begins no reference.

    """
    pieces: list[str | Reference] = []
    at = 0
    while found := _MARK.search(text, at):
        pieces.append(text[at : found.start()])
        if found[0] == "$$":
            pieces.append("$")
            at = found.end()
        else:
            reference = _reference(text, found.start())
            pieces.append(reference)
            at = reference.start + reference.width
    pieces.append(text[at:])
    return [piece for piece in pieces if piece != ""]


def _reference(text: str, start: int) -> Reference:
    end = text.find("}", start)
    if end < 0:
        message, hint = "this ${ is never closed", "close it with }, or write $${ for a plain ${"
        raise ReferenceFlaw(message, hint, start=start, width=len(text) - start)
    inside, width = text[start + 2 : end], end + 1 - start
    if "${" in inside:
        message, hint = "a ${ within another", "put the inner one into vars: and name that"
        raise ReferenceFlaw(message, hint, start=start, width=width)
    form = _FORM.fullmatch(inside)
    if form is None:
        hint = "write ${NAME}, ${NAME:-default}, ${NAME:?message}, or $${ for a plain ${"
        what = "is no form that mporch knows" if _SHELL.match(inside) else "names no variable"
        raise ReferenceFlaw(f"${{{inside[:40]}}} {what}", hint, start=start, width=width)
    sign, rest = form["sign"], form["rest"]
    return Reference(
        name=form["name"],
        start=start,
        width=width,
        default=rest if sign == "-" else None,
        message=rest if sign == "?" else None,
        shell=form["shell"] is not None,
    )
