"""Items as text for a program, and what a program writes as items.

Called in the child.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.encoding import HINT, unfit
from orchestrator.plan.model import CommandInput

__all__ = ["argument", "check_written", "from_json", "line_of", "lines_of", "text_of", "word_of"]

_SHOWN = 80
_NO_JSON = (TypeError, ValueError, RecursionError)


def argument(value: Any) -> str:
    """An item, or a part of it, as an argument: text as it is, containers as JSON, else `str`.

    Bytes are what the system makes of them in names of files. Raises ValueError if JSON cannot hold
    it.
    """
    if isinstance(value, str | bytes | os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, dict | list | tuple | bool) or value is None:
        try:
            return json.dumps(value, ensure_ascii=False)
        except _NO_JSON as error:
            hint = "name the parts that are wanted, as in {item[name]}; or put it as text"
            raise _unfit(value, "as its text is to be", error, hint) from None
    return str(value)


def word_of(value: Any, placeholder: str) -> str:
    """Return what stands in a command in the place of a placeholder.

    Raises ValueError if no argument, and no variable of the environment, can hold it.
    """
    word = argument(value)
    if "\0" in word:
        raise ValueError(
            f"{placeholder} has a NUL in it, which no command line can hold: {_shown(value)}"
            " (hint: hand the item over on standard input: stdin: text)"
        )
    _encoded(word, placeholder)
    return word


def text_of(item: Any, form: CommandInput) -> bytes:
    """Return what a program reads of an item: it, and a newline; bytes are handed over as they are.

    Raises ValueError if it is to be JSON, or text, which cannot hold it.
    """
    if form is CommandInput.JSON:
        try:
            return json.dumps(item).encode("ascii") + b"\n"
        except _NO_JSON as error:
            hint = "put text, numbers, lists and maps; stdin: text takes bytes"
            raise _unfit(item, "stdin: json", error, hint) from None
    return item if isinstance(item, bytes) else _encoded(argument(item), "an item") + b"\n"


def line_of(item: Any, form: CommandInput) -> bytes:
    """The same where each line is an item. Raises ValueError if its text has several lines."""
    line = text_of(item, form)
    if not line.endswith(b"\n"):
        line += b"\n"
    if line.count(b"\n") > 1:
        shown = repr(item)[:_SHOWN]
        raise ValueError(
            f"an item with a newline would be read as several: {shown} (hint: stdin: json)"
        )
    return line


def _encoded(text: str, whose: str) -> bytes:
    if what := unfit(text):
        hint = "hand the item over on standard input, as JSON: stdin: json"
        raise ValueError(f"{whose} has {what}: {_shown(text)} (hint: {hint})")
    return os.fsencode(text)


def check_written(text: str, whose: str) -> None:
    """Raise ValueError if what the spec has written for a program cannot be handed to it."""
    if what := unfit(text):
        raise ValueError(f"{whose} has {what}: {ascii(text)[:_SHOWN]} (hint: {HINT})")


def _shown(value: Any) -> str:
    return reprlib.repr(value)[:_SHOWN]


def _unfit(value: Any, why: str, error: Exception, hint: str) -> ValueError:
    return ValueError(
        f"an item of type {type(value).__name__} cannot be written as JSON ({why}): {error}:"
        f" {_shown(value)} (hint: {hint})"
    )


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut into lines; the last one may lack its newline."""
    pending: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        if rest:
            yield b"".join(pending)
            *whole, last = rest
            yield from whole
            pending = [last]
    if last := b"".join(pending):
        yield last


def from_json(lines: Iterable[bytes]) -> Iterator[Any]:
    """The values of lines of JSON; blank ones are passed over. Raises ValueError for any other."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                shown = line[:_SHOWN].decode(errors="replace")
                raise ValueError(
                    f"line {number} of the command's output is no JSON ({error}): {shown}"
                ) from None
