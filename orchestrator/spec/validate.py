"""Validation: from plain values to the typed document; what does not fit becomes problems.

`null` in a job: the key counts as not written, and no default of the spec holds for it. Only where
it is written so: a key with nothing after it was forgotten, and is told.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import InternalError, Rule
from orchestrator.spec import rules
from orchestrator.spec.declaration import SpecPart, errors_in
from orchestrator.spec.model import KEYS, Document, JobSettings
from orchestrator.spec.wording import kind, show
from orchestrator.spec.words.keys import hint_for_key
from orchestrator.spec.words.values import (
    hint_for_list,
    hint_for_mapping,
    hint_for_number,
    hint_for_state_of_job,
    hint_for_text,
    hint_for_truth,
    hint_for_word,
    kind_as_written,
)
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Node, Path, ScalarNode, mapping_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["MOST_FINDINGS", "ValidationFinding", "understand", "without_nulls"]


@dataclass(frozen=True)
class ValidationFinding:
    """A rule that was broken: where, how, and how to mend it; `key`: the key is meant."""

    rule: Rule
    path: Path
    message: str
    hint: str = ""
    key: bool = False


MOST_FINDINGS = 200
"""Those that are told one by one."""
_VALIDATOR_WORDS = frozenset({"<text>", "<list>", "<map>", "<number>", "<nothing>", "[key]"})
_NOTHING = object()


def understand(root: MappingNode) -> tuple[Document, list[ValidationFinding]]:
    """Return what of the tree makes sense as a document, and what does not; see `without_nulls`.

    The document leaves out every value that is wrong, so that checks which look at several places
    can still be made and the user is told of everything in one go.
    """
    kept: dict[str, Any] = {key: data for key, data in root.plain().items() if not _is_free(key)}
    if (document := _read(kept)) is not None:
        return document, []
    details = _details(kept)
    findings = [_finding(detail, root) for detail in _telling(details[:MOST_FINDINGS])]
    if len(details) > MOST_FINDINGS:
        first = _finding(details[MOST_FINDINGS], root)
        more = f"and {len(details) - MOST_FINDINGS} more problems from here on"
        findings.append(replace(first, message=more, hint="", key=True))
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
    while _drop(data, {_written(data, _place(detail)) for detail in details}):
        data.setdefault("version", 1)
        data.setdefault("jobs", {})
        if (document := _read(data)) is not None:
            return document
        details = _details(data)
    return Document(version=1, jobs={})


def _read(data: dict[str, Any]) -> Document | None:
    try:
        return Document.read(data)
    except ValueError:
        return None


def _details(data: dict[str, Any]) -> list[ErrorDetails]:
    if details := errors_in(Document, data):
        return details
    raise InternalError("the spec cannot be read, and nothing in it is wrong")


def _place(detail: ErrorDetails) -> Path:
    """Return the path of what is wrong: the mapping where a key is missing, else the value."""
    path = tuple(step for step in detail["loc"] if step not in _VALIDATOR_WORDS)
    return path[:-1] if detail["type"] == "missing" else path


def _written(data: Mapping[str, Any], path: Path) -> Path:
    """Return `path` as far as it leads in `data`, and to a key: of a wrong list item, the list."""
    here: Any = data
    found: Path = ()
    last: Path = ()
    for step in path:
        if isinstance(here, dict) and step in here:
            here, found = here[step], (*found, step)
            last = found
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here, found = here[step], (*found, step)
        elif step != 0 or not isinstance(here, dict):  # else the short form of a list of one
            break
    return last


def _at(data: Any, path: Path) -> Any:
    """Return what `path` leads to; an empty mapping where that is gone."""
    here = data
    for step in path:
        here = here.get(step, {}) if isinstance(here, dict) else here[step]
    return here


def _drop(data: dict[str, Any], paths: Collection[Path]) -> bool:
    """Delete what `paths` lead to; say whether anything changed."""
    changed = () in paths and not {"version", "jobs"} <= data.keys()
    for path in paths:
        changed |= bool(path) and _at(data, path[:-1]).pop(path[-1], _NOTHING) is not _NOTHING
    return changed


def _finding(detail: ErrorDetails, root: MappingNode) -> ValidationFinding:
    path, value = _place(detail), detail["input"]
    if detail["type"] == "extra_forbidden":
        message = f"unknown key {show(path[-1])}"
        return ValidationFinding(rules.UNKNOWN_KEY, path, message, hint_for_key(path), key=True)
    if detail["type"] == "missing":
        key = str(detail["loc"][-1])
        hint = _MISSING_HINTS.get(key, "")
        return ValidationFinding(
            rules.MISSING_KEY, path, f"the key {key} is missing", hint, key=True
        )
    if detail["type"] == "invalid_key":
        message = f"{show(path[-1])} is a key that is not text"
        return ValidationFinding(rules.WRONG_TYPE, path, message, "put it in quotes", key=True)
    if value is None and isinstance(path[-1], str):
        hint = "give it a value or remove the key"
        return ValidationFinding(rules.EMPTY_VALUE, path, f"{path[-1]} is empty", hint, key=True)
    is_key = "[key]" in detail["loc"]
    if detail["type"] == "string_type" and isinstance(value, int | float):
        at = () if is_key else path
        message = f"expected text, got {kind_as_written(value, root, at)}"
        return ValidationFinding(
            rules.WRONG_TYPE, path, message, hint_for_text(value, root, at), key=is_key
        )
    if detail["type"] == "bool_type":
        message = f"expected true or false, got {kind_as_written(value, root, path)}"
        return ValidationFinding(rules.WRONG_TYPE, path, message, hint_for_truth(value, root, path))
    return ValidationFinding(*_wrong_value(detail, path, root), key=is_key)


_MISSING_HINTS = {
    "version": "add version: 1",
    "jobs": "add jobs: with at least one job",
}


def _wrong_value(
    detail: ErrorDetails, path: Path, root: MappingNode
) -> tuple[Rule, Path, str, str]:
    value = detail["input"]
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "mporch":
            return context["rule"], path, context["message"], context["hint"]
        case "literal_error" | "enum":
            expected = context["expected"].replace("'", "")
            message = f"expected {expected}, got {kind(value)}"
            return rules.UNKNOWN_WORD, path, message, hint_for_word(value, expected)
        case "greater_than_equal":
            message = f"{show(value)} is too small: the least is {context['ge']}"
            return rules.OUT_OF_RANGE, path, message, f"write {context['ge']} or more"
        case "less_than_equal":
            message = f"{show(value)} is too large: the most is {context['le']}"
            return rules.OUT_OF_RANGE, path, message, f"write {context['le']} or less"
        case _:
            return rules.WRONG_TYPE, path, *_wrong_type(detail, path, root)


def _wrong_type(detail: ErrorDetails, path: Path, root: MappingNode) -> tuple[str, str]:
    expected, hint, value = detail["msg"], "", detail["input"]
    match detail["type"]:
        case "form":
            expected = detail["ctx"]["expected"]
        case "int_type" | "int_from_float" | "int_parsing_size":
            expected, hint = "a whole number", hint_for_number(path, value, root)
            expected += " or auto" if path[-1:] == ("workers",) else ""
        case "string_type":
            expected = "text"
            hint = hint_for_state_of_job(path, root) if isinstance(value, Mapping) else ""
        case "tuple_type":
            expected, hint = "a list", hint_for_list(path, value)
        case "dict_type" | "model_type" | "model_attributes_type":
            expected, hint = "a mapping of keys to values", hint_for_mapping(path, value, root)
            expected = f"a number or {expected}" if _is_queue(path) else expected
    return f"expected {expected}, got {kind(value)}", hint


def _is_queue(path: Path) -> bool:
    return len(path) == 2 and path[0] == "queues"


def without_nulls(root: MappingNode) -> tuple[MappingNode, frozenset[Path]]:
    """Return the tree without the keys of jobs that are null, and the paths of these."""
    found: set[Path] = set()
    entries = dict(root.entries)
    if (entry := entries.get("defaults")) is not None:
        entries["defaults"] = _rid(entry, ("defaults",), found)
    jobs = entries.get("jobs")
    if jobs is not None and isinstance(jobs.value, MappingNode):
        inner = {
            name: _rid(entry, ("jobs", name), found) for name, entry in jobs.value.entries.items()
        }
        entries["jobs"] = replace(jobs, value=mapping_of(jobs.value, inner))
    return (mapping_of(root, entries) if found else root), frozenset(found)


def _rid(entry: Entry, path: Path, found: set[Path]) -> Entry:
    value = _without(entry.value, JobSettings(), path, (), found)
    return entry if value is entry.value else replace(entry, value=value)


def _without(
    node: Node, part: SpecPart, path: Path, keys: tuple[str, ...], found: set[Path]
) -> Node:
    """Return a part of a job without its nulls; `keys` lead from the job to the part."""
    if not isinstance(node, MappingNode):
        return node
    entries: dict[str | int, Entry] = {}
    for key, entry in node.entries.items():
        if not isinstance(key, str) or key not in type(part).model_fields:
            entries[key] = entry
            continue
        here = (*keys, key)
        if not KEYS[here].null and _is_null(entry.value):
            found.add((*path, key))
            continue
        inner = getattr(part, key)
        if isinstance(inner, SpecPart):
            value = _without(entry.value, inner, (*path, key), here, found)
            if value is not entry.value:
                entries[key] = replace(entry, value=value)
                continue
        entries[key] = entry
    same = len(entries) == len(node.entries) and all(
        entries[key] is node.entries[key] for key in entries
    )
    return node if same else mapping_of(node, entries)


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None and bool(node.text)
