"""Hints for a value that has the wrong type, or is a word that is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.spec.model import JobSpec
from orchestrator.spec.wording import did_you_mean, kind, shortened, show
from orchestrator.spec.words import reversed_words, words_of
from orchestrator.spec.yaml.nodes import (
    SET,
    VAR,
    Entry,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
)

__all__ = [
    "hint_for_list",
    "hint_for_mapping",
    "hint_for_number",
    "hint_for_state_of_job",
    "hint_for_text",
    "hint_for_truth",
    "hint_for_word",
    "kind_as_written",
]

_MOST_WRITTEN_OUT = 1e15


def hint_for_mapping(path: Path, value: Any, root: MappingNode) -> str:
    """Return what to write for `value`, which is no mapping, where one belongs."""
    key = str(path[-1]) if path else ""
    number = isinstance(value, int) and not isinstance(value, bool)
    match path:
        case ("queues" | "jobs",) if isinstance(value, list | tuple):
            return _keyed(key, value)
        case ("queues", name):
            usual = f"write the most items it holds, a number: {name}: 10"
            return hint_for_number(path, value, root) or usual
        case ("jobs", name) if name in JobSpec.model_fields:
            return f"if {name} is a key of the job above, indent it further than the job's name"
        case ("jobs", name):
            return _job_written_out(name, value)
    words = words_of("values")
    if number and (usual := words["number"].get(key)):
        return f"write {key}: {{{usual}: {value}}}"
    if isinstance(value, list | tuple):
        return _named(key, _told(root, path))
    if told := reversed_words(words["word"].get(key, {})).get(str(value).casefold()):
        return told
    node = _scalar_at(root, path)
    if node is not None and node.position.file in (VAR, SET):
        return ""  # an option takes no mapping
    return _formed(key, value, _told(root, path))


def _told(root: MappingNode, path: Path) -> Any:
    """Return what stands at `path`, with the name of a variable in the place of its value."""
    node: Entry | Node = root
    for step in root.walk(path):
        node = step
    return _plainly(node.value if isinstance(node, Entry) else node)


def _plainly(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value if node.shown is None else node.shown
    if isinstance(node, SequenceNode):
        return [_plainly(item) for item in node.items]
    return {key: _plainly(entry.value) for key, entry in node.entries.items()}


def _formed(key: str, value: Any, told: Any) -> str:
    """Return the mapping that a single value stands for, by what the value is like."""
    if key == "env":
        return _named(key, [told])
    if key == "kwargs":
        return f"write args: [{show(value)}], or its name: kwargs: {{NAME: {show(value)}}}"
    if isinstance(value, bool):
        return str(words_of("values")["switched_on"].get(key, "")) if value else ""
    words = words_of("values")
    for form in words["form"].get(key, ()):
        if re.fullmatch(words["pattern"][form["like"]], str(value), re.ASCII):
            unit = form.get("unit", "") if isinstance(value, int | float) else ""
            return f"write {form['right'].replace('{}', f'{value}{unit}')}"
    return ""


def _named(key: str, values: Any) -> str:
    """Tell that each of the values in a list is to have a name."""
    first = values[0] if isinstance(values, list) and values else ""
    if key == "env" and isinstance(first, str):
        name = first.partition("=")[0]
        shown = name if name.isidentifier() else "NAME"
        return f"write each as a key with its value: env: {{{shown}: …}}"
    if key == "kwargs":
        name = first if isinstance(first, str) and first.isidentifier() else "NAME"
        return (
            f"write each with its name, as in kwargs: {{{name}: …}}; without names: args: [{name}]"
        )
    return ""


def hint_for_state_of_job(path: Path, root: MappingNode) -> str:
    """Return how to write jobs and their states if `path` is a job with its state in a list."""
    if path[:1] != ("jobs",) or path[2:3] != ("after",):
        return ""
    told = _told(root, path[:3])
    states: dict[str, str] = {}
    for each in told if isinstance(told, list) else ():
        found = {each: "succeeded"} if isinstance(each, str) else each
        if not isinstance(found, Mapping):
            return ""
        states |= {show(name).strip('"'): show(state).strip('"') for name, state in found.items()}
    inner = ", ".join(f"{name}: {state}" for name, state in states.items())
    return f"write one mapping: after: {{{inner}}}" if states else ""


def _job_written_out(name: Any, value: Any) -> str:
    """Return how a job is written whose target stands alone, or in a list."""
    texts = list(value) if isinstance(value, list | tuple) else [value]
    target = texts[0] if len(texts) == 1 and isinstance(texts[0], str) else ""
    if re.fullmatch(r"[\w.]+:[\w.]+", target):
        return f'write the target by its key: {name}: {{target: "{target}"}}'
    return f"write keys and values: {name}: {{target: …}} or {name}: {{command: …}}"


def _keyed(section: str, items: Sequence[Any]) -> str:
    """Tell that what is written as a list has names, by the first item that has one."""
    named = [each.get("name", "") if isinstance(each, Mapping) else each for each in items]
    names = [each for each in named if isinstance(each, str) and each]
    name = names[0] if names else section[:-1]
    value = "10" if section == "queues" else "{target: …}"
    return f"write each with its name as the key, without a dash: {name}: {value}"


def hint_for_list(path: Path, value: Any) -> str:
    """Return what to write for `value`, which is no list, where one belongs."""
    key = path[-1] if path else ""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name}: …" for name in value)
        if key == "args":
            return f"what has a name belongs under kwargs: {{{inner}}}"
        return f"write it as a list: [{{{inner}}}]" if key == "log" else ""
    if key == "kill":
        job = value if isinstance(value, str) else "parse"
        return f"write {{job: {job}, at_item: 3}}"
    return f"write [{show(value)}]"


def hint_for_number(path: Path, value: Any, root: MappingNode) -> str:
    """Return what to write for `value`, which is no whole number, where one belongs."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_WRITTEN_OUT:
        return f"write {int(value)}"
    if not isinstance(value, str):
        return ""
    digits = value.replace("_", "").replace(",", "")
    if digits.isascii() and digits.isdigit() and len(digits) <= 20:
        return _hint_for_digits(digits, value, _scalar_at(root, path))
    return did_you_mean(value, ["auto"]) if path[-1:] == ("workers",) else ""


def _hint_for_digits(digits: str, value: str, node: ScalarNode | None) -> str:
    """Return how to write digits that are text, where that was written."""
    named = node.named if node is not None else ()
    places = [each for each in named if each.position]
    if places and places[-1].position is not None:
        name, at = places[-1].name, places[-1].position
        if at.file in (VAR, SET):
            option = name.removeprefix("vars.") if at.file == VAR else name
            return f"write {at.file} {option}={digits}"
        section, _, key = name.rpartition(".")
        place = f" of {at.file}" if at.file else ""
        return f"write {key}: {digits} under {section}{place}, without quotes"
    if named and named[-1].default:
        reference = f"${{{named[-1].name}:-{digits}}}"
        return f"write {reference} on a line of its own, without quotes"
    line = " on a line of its own" if named else ""
    return f"write {digits}{line}, without quotes" if digits == value else f"write {digits}"


def hint_for_text(value: Any, root: MappingNode, path: Path) -> str:
    """Return what to write for the number or truth value at `path`, where text belongs.

    What is to be put in quotes stands there as it was written, at the place where that was.
    """
    node = _scalar_at(root, path)
    if node is None or not node.text:
        return f'put it in quotes: "{show(value)}"'
    quoted = f'"{node.text if node.shown is None else node.shown}"'
    name, at = ".".join(map(str, path)), node.position
    for named in node.named:
        name, at = (named.name, named.position) if named.position else (name, at)
    if at.file in (VAR, SET):
        option = name.removeprefix("vars.") if at.file == VAR else name
        return f"write {at.file} '{option}={quoted}'"
    if at == node.position:
        return f"put it in quotes: {quoted}"
    place = f"{at.file}:{at.line}" if at.file else f"line {at.line}"
    return f"put it in quotes at {name}, {place}: {name.rpartition('.')[2]}: {quoted}"


def kind_as_written(value: Any, root: MappingNode, path: Path) -> str:
    """Return what the number or truth value at `path` is, as it was written."""
    node = _scalar_at(root, path)
    if type(value) not in (int, float) or node is None or not node.text:
        return kind(value)
    return f"the number {shortened(node.text)}"


def _scalar_at(root: MappingNode, path: Path) -> ScalarNode | None:
    node: Entry | Node | None = None
    for step in root.walk(path):
        node = step.value if isinstance(step, Entry) else step
    return node if isinstance(node, ScalarNode) else None


def hint_for_truth(value: Any, root: MappingNode, path: Path) -> str:
    """Return what to write for the value at `path`, which is neither true nor false."""
    meant = reversed_words(words_of("values")["truth"]).get(str(value).lower(), "true or false")
    node = _scalar_at(root, path)
    if node is not None and node.shown is not None and node.named:
        return f"set {node.named[-1].name} to {meant}"
    return f"write {meant}, unquoted"


def hint_for_word(value: Any, expected: str) -> str:
    """Return which of the words in `expected`, such as `a, b or c`, was meant."""
    if not isinstance(value, str):
        return ""
    words = expected.replace(" or ", ", ").split(", ")
    data = words_of("values")
    if "dead_letter" in words:
        meant = reversed_words(data["item"]).get(value.casefold().replace("-", "_"))
        if meant:
            return meant
    state = reversed_words(data["state"]).get(value.casefold(), "")
    if state in words:
        return str(data["state_means"].get(state, f"did you mean {state}?"))
    return did_you_mean(value, words)
