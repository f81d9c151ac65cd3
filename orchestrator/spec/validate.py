"""From plain values to the typed document; what does not fit becomes problems, all at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.spec.model import Document
from orchestrator.spec.nodes import Path
from orchestrator.spec.vocabulary import hint_for_key
from orchestrator.spec.wording import did_you_mean, kind, show

__all__ = ["Finding", "understand"]

Finding = tuple[Path, str, str, bool]
"""Where, what is wrong, how to mend it, and whether the key rather than its value is meant."""

_MOST_FINDINGS = 200
_VALIDATOR_WORDS = frozenset({"<text>", "<list>", "<map>", "[key]"})
_NOTHING = object()


def understand(data: Mapping[str, Any]) -> tuple[Document, list[Finding]]:
    """Return what of `data` makes sense as a document, and what does not.

    The document leaves out every value that is wrong, so that checks which look at several places
    can still be made and the user is told of everything in one go.
    """
    kept: dict[str, Any] = {key: value for key, value in data.items() if not _is_free(key)}
    try:
        return Document.model_validate(kept), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    findings = [_finding(detail) for detail in _telling(details[:_MOST_FINDINGS])]
    if len(details) > _MOST_FINDINGS:
        more = f"and {len(details) - _MOST_FINDINGS} more problems from here on"
        findings.append((_place(details[_MOST_FINDINGS]), more, "", True))
    return _rest(kept, details), findings


def _telling(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a key is missing where it was misspelt: the unknown key's hint names it."""
    unknown = [_place(detail) for detail in details if detail["type"] == "extra_forbidden"]
    hints = {(path[:-1], hint_for_key(path)) for path in unknown}
    return [
        detail
        for detail in details
        if detail["type"] != "missing"
        or (_place(detail), f"did you mean {detail['loc'][-1]}?") not in hints
    ]


def _is_free(key: object) -> bool:
    return isinstance(key, str) and key.startswith("x-")


def _rest(data: dict[str, Any], details: list[ErrorDetails]) -> Document:
    """Drop what is wrong until the rest is valid; each round drops something, or all is dropped."""
    data = copy.deepcopy(data)
    while sum(_drop(data, _place(detail)) for detail in details):
        data.setdefault("version", 1)
        data.setdefault("jobs", {})
        try:
            return Document.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False)
    return Document(version=1, jobs={})


def _place(detail: ErrorDetails) -> Path:
    """Return the path of what is wrong: the mapping where a key is missing, else the value."""
    path = tuple(step for step in detail["loc"] if step not in _VALIDATOR_WORDS)
    return path[:-1] if detail["type"] == "missing" else path


def _drop(data: dict[str, Any], path: Path) -> bool:
    """Delete what `path` leads to, a list item with its list; say whether anything changed."""
    if not path:
        return "version" not in data or "jobs" not in data
    *way, last = path
    here: Any = data
    for step in way:
        inner = here.get(step)
        if not isinstance(inner, dict):
            last = step
            break
        here = inner
    return here.pop(last, _NOTHING) is not _NOTHING


def _finding(detail: ErrorDetails) -> Finding:
    path = _place(detail)
    value = detail["input"]
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        return path, f"unknown key {show(path[-1])}", hint_for_key(path), True
    if detail["type"] == "missing":
        return path, *_missing(str(detail["loc"][-1])), True
    if value is None and isinstance(path[-1], str):
        return path, f"{path[-1]} is empty", "give it a value or remove the key", True
    if detail["type"] == "mporch":
        return path, context["message"], context["hint"], "[key]" in detail["loc"]
    return path, *_wrong_value(detail, value), "[key]" in detail["loc"]


def _missing(key: str) -> tuple[str, str]:
    hints = {
        "version": "add version: 1",
        "target": "add target: package.module:function",
        "jobs": "add jobs: with at least one job",
    }
    return f"the key {key} is missing", hints.get(key, "")


def _wrong_value(detail: ErrorDetails, value: Any) -> tuple[str, str]:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error":
            expected = context["expected"].replace("'", "")
            return f"expected {expected}, got {kind(value)}", _word_hint(value, expected)
        case "greater_than_equal":
            return f"{show(value)} is too small: the least is {context['ge']}", ""
        case "int_type" | "int_from_float":
            return f"expected a whole number, got {kind(value)}", _unquote_hint(value)
        case "string_type":
            scalar = isinstance(value, int | float)
            return f"expected text, got {kind(value)}", _quote_hint(value) if scalar else ""
        case "bool_type":
            return f"expected true or false, got {kind(value)}", "write true or false, unquoted"
        case "tuple_type":
            return f"expected a list, got {kind(value)}", f"write [{show(value)}]"
        case "dict_type" | "model_type" | "model_attributes_type":
            message = f"expected a mapping of keys to values, got {kind(value)}"
            return message, _mapping_hint(_place(detail), value)
        case _:
            return f"{detail['msg']}, got {kind(value)}", ""


_USUAL_KEYS = {"retry": "attempts", "restart": "max", "recycle": "max_items", "batch": "size"}


def _mapping_hint(path: Path, value: Any) -> str:
    key = str(path[-1]) if path else ""
    if key in _USUAL_KEYS and isinstance(value, int) and not isinstance(value, bool):
        return f"write {key}: {{{_USUAL_KEYS[key]}: {value}}}"
    return ""


def _word_hint(value: Any, expected: str) -> str:
    words = expected.replace(" or ", ", ").split(", ")
    return did_you_mean(value, words) if isinstance(value, str) else ""


def _quote_hint(value: Any) -> str:
    return f'put it in quotes: "{show(value)}"'


def _unquote_hint(value: Any) -> str:
    return f"write {value}, without quotes" if isinstance(value, str) and value.isdigit() else ""
