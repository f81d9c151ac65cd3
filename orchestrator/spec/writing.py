"""Writes a positioned tree as the text of a spec, which reads as the same tree again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from orchestrator.spec.nodes import MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["written"]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_LIKE_NO_TEXT = frozenset({"null", "true", "false"})
_WIDEST = 1_000_000


def written(root: MappingNode) -> str:
    """Return the text of `root`: what was quoted in quotes, what was plain as it was."""
    events = [
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_events(root),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    ]
    text: str = yaml.emit(events, allow_unicode=True, width=_WIDEST)
    return text


def _events(node: Node) -> Iterator[yaml.Event]:
    if isinstance(node, ScalarNode):
        style = '"' if node.quoted else None
        yield yaml.ScalarEvent(None, None, (True, True), node.text, style=style)
    elif isinstance(node, SequenceNode):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=False)
        for item in node.items:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    else:
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=False)
        for key, entry in node.entries.items():
            yield yaml.ScalarEvent(None, None, (True, True), str(key), style=_key_style(key))
            yield from _events(entry.value)
        yield yaml.MappingEndEvent()


def _key_style(key: str | int) -> str | None:
    if isinstance(key, int):
        return None
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _LIKE_NO_TEXT
    return None if plain else '"'
