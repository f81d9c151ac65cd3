"""From YAML text to the positioned tree, through parser events, within limits.

Depth, nodes and aliases are counted on the events, before anything is built: a composer that
recurses through what an attacker (or a typo) nested 30,000 deep ends the interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from orchestrator.errors import Rule, SpecError
from orchestrator.spec import rules
from orchestrator.spec.wording import show
from orchestrator.spec.yaml.nodes import (
    Entry,
    MappingNode,
    Node,
    Path,
    Position,
    ScalarNode,
    SequenceNode,
    characters_in,
)
from orchestrator.spec.yaml.parser import MAX_DEPTH, Flaw, SyntaxFlaw, events_of, too_deep
from orchestrator.spec.yaml.scalars import ScalarError, resolve
from orchestrator.spec.yaml.source import MAX_BYTES, decode

__all__ = [
    "MAX_ALIASED_NODES",
    "MAX_DEPTH",
    "MAX_FLAWS",
    "MAX_NODES",
    "Composer",
    "FlawReporter",
    "entries_of",
    "means_same",
]

MAX_FLAWS = 200
MAX_NODES = 50_000
MAX_ALIASED_NODES = 10_000
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_PROPERTIES = re.compile(r"(?:[&!][^\s\[\]{},]*[ \t]+)+")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    position: Position
    anchor: str | None
    is_mapping: bool
    children: list[Node] = field(default_factory=list)


class Composer:
    """Builds the tree of one YAML text. `flaws` collects what did not stop the reading."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self._lines: list[str] = []
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._nodes = 0
        self._aliased = 0
        self._characters = 0

    def compose(self, text: str) -> Node | None:
        """Return the root of the single document in `text`, or None when there is none.

        Raises:
            SyntaxFlaw: a syntax error, a limit passed, or a second document.

        """
        root: Node | None = None
        documents = 0
        self._lines = text.split("\n") if "&" in text or "!" in text else []
        for event in events_of(text):
            if isinstance(event, yaml.NodeEvent):
                root = self._begin(event) or root
            elif isinstance(event, yaml.CollectionEndEvent):
                root = self._end()
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    msg = "a second document starts here; a spec is one document"
                    hint = "remove the line with ---"
                    raise SyntaxFlaw(rules.SECOND_DOCUMENT, msg, _position(event), hint, width=3)
        return root

    def _begin(self, event: Any) -> Node | None:
        position = _position(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            msg = f"more than {MAX_NODES:,} keys and values"
            hint = "a spec names data, it holds none"
            raise SyntaxFlaw(rules.TOO_MANY_NODES, msg, position, hint)
        if isinstance(event, yaml.AliasEvent):
            return self._add(self._alias(event, position), None)
        if event.anchor is not None:
            self._check_anchor(event.anchor, position)
        if isinstance(event, yaml.ScalarEvent):
            return self._add(self._scalar(event, position), event.anchor)
        if event.tag is not None:
            self._tag_flaw(event.tag, ScalarNode(None, position))
        if len(self._open) >= MAX_DEPTH:
            raise too_deep(position)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(position, event.anchor, is_mapping))
        return None

    def _end(self) -> Node:
        done = self._open.pop()
        size = 1 + sum([child.size for child in done.children])
        depth = 1 + max([child.depth for child in done.children], default=0)
        node: Node
        if done.is_mapping:
            node = MappingNode(entries_of(done.children, self._flaw), done.position, size, depth)
        else:
            node = SequenceNode(tuple(done.children), done.position, size, depth)
        return self._add(node, done.anchor)

    def _add(self, node: Node, anchor: str | None) -> Node:
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        return node

    def _check_anchor(self, anchor: str, position: Position) -> None:
        if anchor in self._anchors or any(o.anchor == anchor for o in self._open):
            msg, width = f"the anchor &{anchor} is defined twice", len(anchor) + 1
            hint = "give each anchor a name of its own"
            raise SyntaxFlaw(rules.ANCHOR_TWICE, msg, position, hint, width=width)

    def _alias(self, event: Any, position: Position) -> Node:
        anchor, width = event.anchor, len(event.anchor) + 1
        if any(o.anchor == anchor for o in self._open):
            msg, hint = f"the anchor &{anchor} contains itself", f"remove *{anchor} from it"
            raise SyntaxFlaw(rules.RECURSION, msg, position, hint, width=width)
        if anchor not in self._anchors:
            msg, hint = f"*{anchor} has no anchor", f"define &{anchor} above, or quote the text"
            raise SyntaxFlaw(rules.NO_ANCHOR, msg, position, hint, width=width)
        node = self._anchors[anchor]
        self._charge(node, position, width)
        if len(self._open) + node.depth > MAX_DEPTH:
            raise too_deep(position)
        return node

    def _charge(self, node: Node, position: Position, width: int) -> None:
        """Count what an alias stands for; together it must stay within bounds."""
        self._aliased += node.size
        if self._aliased <= MAX_ALIASED_NODES:
            self._characters += characters_in(node)
            if self._characters <= MAX_BYTES:
                return
        over = f"{MAX_ALIASED_NODES} nodes" if self._characters <= MAX_BYTES else "1 MiB of text"
        msg = f"too many aliases: together they stand for over {over}"
        hint = "write fewer of them, or smaller ones"
        raise SyntaxFlaw(rules.ALIAS_BOMB, msg, position, hint, width=width)

    def _scalar(self, event: Any, position: Position) -> ScalarNode:
        start, end = event.start_mark, event.end_mark
        width = max(1, end.column - start.column) if start.line == end.line else 0
        if event.tag is not None and event.tag not in _STRING_TAGS:
            self._tag_flaw(event.tag, ScalarNode(None, position))
        elif event.anchor is not None or event.tag is not None:
            position, width = self._past_properties(position, width)
        text: str = event.value
        quoted = bool(event.style) or event.tag is not None
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            node = ScalarNode("", position, width, quoted=True)
            hint = "write the character itself"
            msg = "half of a surrogate pair is no character"
            self._flaw(rules.HALF_CHARACTER, msg, hint, node)
            return node
        if quoted:
            return ScalarNode(text, position, width, quoted=True, text=text)
        try:
            return ScalarNode(resolve(text), position, width, text=text)
        except ScalarError as error:
            node = ScalarNode(text, position, width)
            self._flaw(rules.DOUBTFUL_NUMBER, str(error), error.hint, node)
            return node

    def _past_properties(self, at: Position, width: int) -> tuple[Position, int]:
        """Return where the value itself begins, behind an anchor or tag, and its width."""
        line = self._lines[at.line - 1] if at.line <= len(self._lines) else ""
        if (found := _PROPERTIES.match(line, at.column - 1)) is None:
            return at, width
        skipped = found.end() - found.start()
        return Position(at.line, at.column + skipped), max(0, width - skipped)

    def _tag_flaw(self, tag: str, node: Node) -> None:
        short = tag.replace("tag:yaml.org,2002:", "!!")
        self._flaw(rules.TAG, f"the tag {show(short)} has no meaning here", "remove it", node)

    def _flaw(self, rule: Rule, message: str, hint: str, node: Node) -> None:
        if len(self.flaws) >= MAX_FLAWS:
            raise SyntaxFlaw(rule, "too many problems to go on", node.position)
        path = self._path()
        if rule is rules.KEY_TWICE and path and isinstance(node, ScalarNode):
            path = (*path, str(node.value))
        self.flaws.append(
            Flaw(
                rule=rule,
                message=message,
                hint=hint,
                position=node.position,
                width=node.width,
                path=path,
            )
        )

    def _path(self) -> Path:
        """Return where the text has been read to; nothing where it may stand elsewhere, too."""
        steps: list[str | int] = []
        for opened in self._open:
            if self._anchors or opened.anchor is not None:
                return ()
            n = len(opened.children)
            if not opened.is_mapping:
                steps.append(n)
            elif n % 2:
                key = opened.children[-1]
                steps.append(str(key.value) if isinstance(key, ScalarNode) else "")
        return tuple(steps)


def _position(event: Any) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


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
                report(rules.KEY_TWICE, message, "write one list: <<: [*one, *other]", key)
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
            report(rules.KEY_TWICE, message, "keep one of the two", key)
            continue
        own[name] = Entry(name, key.position, key.width, value)
    return {**merged, **own}


def _checked(key: Node, report: FlawReporter) -> str | int | None:
    if not isinstance(key, ScalarNode):
        report(rules.BAD_KEY, "a key must be a single word, not a list or a mapping", _QUOTE, key)
        return None
    if isinstance(key.value, str) or type(key.value) is int:
        return key.value
    message = f"{show(key.value)} is a key that is not text"
    report(rules.BAD_KEY, message, _QUOTE, key)
    return None


def _merged(value: Node, report: FlawReporter) -> Iterator[Entry]:
    parts: Iterable[Node] = value.items if isinstance(value, SequenceNode) else (value,)
    for part in parts:
        if isinstance(part, MappingNode):
            yield from part.entries.values()
        else:
            hint = "write <<: *name, of an anchor that holds a mapping"
            report(rules.BAD_MERGE, "<< merges a mapping or a list of mappings", hint, part)


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
