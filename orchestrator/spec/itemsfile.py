"""Files of items for the cases under `tests`: JSON, a JSON value a line, YAML, lines of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import SpecError
from orchestrator.spec import rules
from orchestrator.spec.wording import HintedError, did_you_mean, kind
from orchestrator.spec.yaml import source
from orchestrator.spec.yaml.composer import Composer
from orchestrator.spec.yaml.parser import SyntaxFlaw

__all__ = ["ItemsFileError", "read_items"]


class ItemsFileError(HintedError):
    """A file that holds no items; `hint` says what to do."""


def read_items(path: Path) -> tuple[Any, ...]:
    """Return the items in a file of at most 1 MiB, which its ending tells how to read.

    Raises:
        ItemsFileError: it is not there, or holds no list of items.

    """
    read = _READERS.get(path.suffix)
    if read is None:
        known = ", ".join(_READERS)
        hint = did_you_mean(path.suffix, _READERS) or f"name it {known}"
        raise ItemsFileError(f"{path.name} has no ending that says what it holds", hint)
    try:
        text = source.read(path).text
    except SpecError as error:
        problem = error.problems[0]
        hints = {rules.NO_FILE: _neighbour(path), rules.TOO_LARGE: "let a target give so much"}
        hint = hints.get(problem.rule, problem.hint)
        raise ItemsFileError(f"{path.name}: {problem.message}", hint) from None
    return tuple(read(text, path.name))


def _neighbour(path: Path) -> str:
    """Name the file that was probably meant."""
    try:
        names = sorted(other.name for other in path.parent.iterdir())
    except OSError:
        return "there is no such folder either"
    return did_you_mean(path.name, names)


def _json(text: str, name: str) -> list[Any]:
    return _list(_parsed(text, name, 1), name)


def _json_lines(text: str, name: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _parsed(line, name, number)


def _yaml(text: str, name: str) -> list[Any]:
    composer = Composer()
    try:
        root = composer.compose(text)
    except SyntaxFlaw as error:
        composer.flaws.append(error.flaw)
    if composer.flaws:
        flaw = composer.flaws[0]
        at = f"{name}:{flaw.position.line}:{flaw.position.column}"
        raise ItemsFileError(f"{at}: {flaw.message}", flaw.hint)
    return _list(None if root is None else root.plain(), name)


def _lines(text: str, _: str) -> list[str]:
    return text.splitlines()


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".txt": _lines,
}


def _parsed(text: str, name: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}:{error.colno}"
        raise ItemsFileError(f"{place}: this is no JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nesting
        raise ItemsFileError(f"{name}:{line}:1: this is no JSON: {error}") from None


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, list):
        return value
    hint = "write a list; .jsonl has a value a line"
    raise ItemsFileError(f"{name} holds {kind(value)}, not a list of items", hint)
