"""From YAML text to the positioned tree, through parser events, within limits.

Depth and aliases are counted on the events, before anything is built: a composer that recurses
through what an attacker (or a typo) nested 30,000 deep ends the interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.spec.entries import entries_of
from orchestrator.spec.nodes import MappingNode, Node, Position, ScalarNode, SequenceNode
from orchestrator.spec.scalars import ScalarError, resolve
from orchestrator.spec.wording import show

__all__ = ["MAX_ALIASED_NODES", "MAX_DEPTH", "ComposeError", "Composer", "Flaw"]

MAX_DEPTH = 64
MAX_FLAWS = 200
MAX_ALIASED_NODES = 10_000
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_HINTS = {
    "mapping values are not allowed": 'put text that holds ": " in quotes',
    "expected ':'": "is a colon missing, or a quote open?",
    "did not find expected": "the indentation or a bracket does not fit the lines above",
    "but found": "the indentation or a bracket does not fit the lines above",
    "unexpected end of stream": "a quote or bracket is never closed",
}
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something wrong with the text as YAML."""

    message: str
    hint: str
    position: Position


class ComposeError(Exception):
    """The text cannot be read to its end."""

    def __init__(self, message: str, position: Position, hint: str = "") -> None:
        super().__init__(message)
        self.flaw = Flaw(message=message, hint=hint, position=position)


@dataclass
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
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._aliased = 0

    def compose(self, text: str) -> Node | None:
        """Return the root of the single document in `text`, or None when there is none.

        Raises:
            ComposeError: a syntax error, a limit passed, or a second document.

        """
        root: Node | None = None
        documents = 0
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    msg = "a second document starts here; a spec is one document"
                    raise ComposeError(msg, _position(event), "remove the line with ---")
            elif isinstance(event, yaml.NodeEvent):
                root = self._begin(event) or root
            elif isinstance(event, yaml.CollectionEndEvent):
                root = self._end()
        return root

    def _begin(self, event: Any) -> Node | None:
        position = _position(event)
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._check_anchor(event.anchor, position)
        if isinstance(event, yaml.AliasEvent):
            return self._add(self._alias(event.anchor, position), None)
        if isinstance(event, yaml.ScalarEvent):
            return self._add(self._scalar(event, position), event.anchor)
        if event.tag is not None:
            self._tag_flaw(event.tag, position)
        if len(self._open) >= MAX_DEPTH:
            raise ComposeError(f"nested deeper than {MAX_DEPTH} levels", position)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(position, event.anchor, is_mapping))
        return None

    def _end(self) -> Node:
        done = self._open.pop()
        size = 1 + sum(child.size for child in done.children)
        depth = 1 + max((child.depth for child in done.children), default=0)
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
            raise ComposeError(f"the anchor &{anchor} is defined twice", position)

    def _alias(self, anchor: Any, position: Position) -> Node:
        if any(o.anchor == anchor for o in self._open):
            raise ComposeError(f"the anchor &{anchor} contains itself", position)
        if anchor not in self._anchors:
            raise ComposeError(
                f"*{anchor} has no anchor", position, f"define &{anchor} above, or quote the text"
            )
        node = self._anchors[anchor]
        self._aliased += node.size
        if self._aliased > MAX_ALIASED_NODES:
            msg = f"too many aliases: together they stand for over {MAX_ALIASED_NODES} nodes"
            raise ComposeError(msg, position)
        if len(self._open) + node.depth > MAX_DEPTH:
            raise ComposeError(f"nested deeper than {MAX_DEPTH} levels", position)
        return node

    def _scalar(self, event: Any, position: Position) -> ScalarNode:
        text: str = event.value
        if event.tag is not None and event.tag not in _STRING_TAGS:
            self._tag_flaw(event.tag, position)
        if any("\ud800" <= c <= "\udfff" for c in text):
            self._flaw("half of a surrogate pair is no character", "", position)
            text = ""
        if event.style or event.tag is not None:
            return ScalarNode(text, position, quoted=True)
        try:
            return ScalarNode(resolve(text), position)
        except ScalarError as error:
            self._flaw(str(error), error.hint, position)
            return ScalarNode(text, position)

    def _tag_flaw(self, tag: str, position: Position) -> None:
        short = tag.replace("tag:yaml.org,2002:", "!!")
        self._flaw(f"the tag {show(short)} has no meaning here", "remove it", position)

    def _flaw(self, message: str, hint: str, position: Position) -> None:
        if len(self.flaws) >= MAX_FLAWS:
            raise ComposeError("too many problems to go on", position)
        self.flaws.append(Flaw(message=message, hint=hint, position=position))


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise ComposeError(*_reworded(error, text, position)) from None
    except yaml.YAMLError as error:
        raise ComposeError(" ".join(str(error).split()), Position(1, 1)) from None


def _reworded(error: yaml.MarkedYAMLError, text: str, at: Position) -> tuple[str, Position, str]:
    problem = error.problem or "not valid YAML"
    context = f"{error.context}: " if error.context else ""
    if "cannot start any token" in problem:
        line = _LINE_BREAK.split(text)[at.line - 1]
        character = line[at.column - 1 : at.column]
        if character == "\t":
            return "a tab cannot indent or separate", at, "use spaces"
        return f"{show(character)} cannot start a value", at, "put the value in quotes"
    for part, hint in _HINTS.items():
        if part in problem:
            return f"{context}{problem}", at, hint
    return f"{context}{problem}", at, ""


def _position(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)
