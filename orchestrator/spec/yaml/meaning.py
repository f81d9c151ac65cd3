"""Comparison of two specs by what they say: not by comments, layout and quotes. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path as FilePath

from orchestrator.errors import SpecError
from orchestrator.spec.yaml.composer import Composer
from orchestrator.spec.yaml.nodes import Node, Path, ScalarNode, SequenceNode
from orchestrator.spec.yaml.parser import SyntaxFlaw
from orchestrator.spec.yaml.source import decode

__all__ = ["means_same"]

_NOWHERE = FilePath("/")


def means_same(one: bytes, other: bytes) -> bool:
    """True if two specs have the same keys and values, as they are written.

    The order of keys counts where it has a meaning: not that of a job's keys, but that of the jobs.
    What can be read only in part is the same as nothing but its own bytes.
    """
    if one == other:
        return True
    said = _said(one)
    return said is not None and said == _said(other)


def _said(text: bytes) -> Hashable | None:
    composer = Composer()
    try:
        root = composer.compose(decode(text, "", _NOWHERE).text)
    except (SpecError, SyntaxFlaw):
        return None
    return None if root is None or composer.flaws else _meaning(root, ())


def _meaning(node: Node, path: Path) -> Hashable:
    if isinstance(node, ScalarNode):
        return _value(node)
    if isinstance(node, SequenceNode):
        return tuple(_meaning(item, (*path, n)) for n, item in enumerate(node.items))
    pairs = [
        (type(key).__name__, str(key), _meaning(entry.value, (*path, key)))
        for key, entry in node.entries.items()
    ]
    if _has_keys_of_ours(path):
        pairs.sort(key=lambda pair: pair[:2])
    return ("mapping", *pairs)


def _has_keys_of_ours(path: Path) -> bool:
    """True if the keys there are those of the reference, whose order means nothing."""
    return path in ((), ("defaults",)) or (len(path) == 2 and path[0] in ("jobs", "queues"))


def _value(node: ScalarNode) -> Hashable:
    """Return a single value as written: a program may get a number letter by letter.

    Quotes keep what a variable gives from being more than text.
    """
    value = node.value
    if isinstance(value, str):
        return ("text", value, node.quoted and "$" in value)
    if isinstance(value, bool) or value is None:
        return ("word", value)
    return ("number", node.text)
