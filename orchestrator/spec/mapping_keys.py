"""Keys of a mapping: checked, doubles refused, merges (`<<`) resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.errors import Rule
from orchestrator.spec.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from orchestrator.spec.rules import syntax
from orchestrator.spec.wording import show

__all__ = ["FlawReporter", "entries_of"]

_QUOTE = "put the key in quotes"

FlawReporter = Callable[[Rule, str, str, Node], None]
"""Called with the rule, a message, a hint and the node that breaks it."""


def entries_of(children: Sequence[Node], report: FlawReporter) -> dict[str | int, Entry]:
    """Return the entries of a mapping whose keys and values alternate in `children`.

    What is merged comes first and gives way to what the mapping says itself.
    """
    own: dict[str | int, Entry] = {}
    merged: dict[str | int, Entry] = {}
    merge: ScalarNode | None = None
    for key, value in zip(children[::2], children[1::2], strict=True):
        if isinstance(key, ScalarNode) and key.value == "<<" and not key.quoted:
            if merge is not None:
                at = merge.position
                message = f"the key << is given twice, first at {at.line}:{at.column}"
                report(syntax.KEY_TWICE, message, "write one list: <<: [*one, *other]", key)
                continue
            merge = key
            for entry in _merged(value, report):
                merged.setdefault(entry.key, entry)
            continue
        name = _checked(key, report)
        if name is None:
            continue
        if name in own:
            first = own[name].key_position
            message = f"the key {show(name)} is given twice, first at {first.line}:{first.column}"
            report(syntax.KEY_TWICE, message, "keep one of the two", key)
            continue
        own[name] = Entry(name, key.position, key.width, value)
    return {**merged, **own}


def _checked(key: Node, report: FlawReporter) -> str | int | None:
    if not isinstance(key, ScalarNode):
        report(syntax.BAD_KEY, "a key must be a single word, not a list or a mapping", _QUOTE, key)
        return None
    if isinstance(key.value, str) or type(key.value) is int:
        return key.value
    message = f"{show(key.value)} is a key that is not text"
    report(syntax.BAD_KEY, message, _QUOTE, key)
    return None


def _merged(value: Node, report: FlawReporter) -> Iterator[Entry]:
    parts: Iterable[Node] = value.items if isinstance(value, SequenceNode) else (value,)
    for part in parts:
        if isinstance(part, MappingNode):
            yield from part.entries.values()
        else:
            hint = "write <<: *name, of an anchor that holds a mapping"
            report(syntax.BAD_MERGE, "<< merges a mapping or a list of mappings", hint, part)
