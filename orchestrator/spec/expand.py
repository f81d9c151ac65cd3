"""Puts the values of variables in the place of `${…}`, in the values of a positioned tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.errors import Rule
from orchestrator.spec.compose import MAX_ALIASED_NODES, MAX_DEPTH, MAX_FLAWS
from orchestrator.spec.events import Flaw, SyntaxFlaw
from orchestrator.spec.nodes import (
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    mapping_of,
    sequence_of,
)
from orchestrator.spec.references import Reference, ReferenceFlaw, pieces_of
from orchestrator.spec.rules import syntax, variables
from orchestrator.spec.scalars import ScalarError, resolve
from orchestrator.spec.source import MAX_BYTES
from orchestrator.spec.variables import Missing, Variables

__all__ = ["Expander", "scalars_of", "unresolved"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an expansion has come to: the path, and how deep it is in nodes and references."""

    path: Path
    depth: int = 0

    def at(self, step: str | int) -> _Place:
        return _Place((*self.path, step), self.depth + 1)


class Expander:
    """Expands one tree. Where something has no value, the text stays as it is."""

    def __init__(self, root: MappingNode, environ: Mapping[str, str]) -> None:
        self._flaws: list[Flaw] = []
        self._root = root
        self._variables = Variables(root, environ)
        self._done: dict[int, Node] = {}
        self._running: dict[int, Path] = {}
        self._nodes = 0
        self._characters = 0

    @property
    def environment(self) -> bool:
        """Whether a value came from the environment."""
        return self._variables.environment

    def expand(self, flaws: list[Flaw]) -> MappingNode:
        """Return the tree with all values in place; what is under `x-` keys stays as it is.

        What has no value is added to `flaws`.

        Raises:
            SyntaxFlaw: a limit was passed.

        """
        self._flaws = flaws
        entries = {
            key: entry
            if str(key).startswith("x-")
            else replace(entry, value=self._node(entry.value, _Place((key,))))
            for key, entry in self._root.entries.items()
        }
        return mapping_of(self._root, entries)

    def _node(self, node: Node, place: _Place) -> Node:
        if place.depth > MAX_DEPTH:
            raise _too_deep(node)
        if isinstance(node, MappingNode):
            inner = {
                key: replace(entry, value=self._node(entry.value, place.at(key)))
                for key, entry in node.entries.items()
            }
            return mapping_of(node, inner)
        if isinstance(node, SequenceNode):
            items = [self._node(item, place.at(n)) for n, item in enumerate(node.items)]
            return sequence_of(node, items)
        if not isinstance(node.value, str) or "$" not in node.value:
            return node
        return self._scalar(node, place)

    def _scalar(self, node: ScalarNode, place: _Place) -> Node:
        """Expand a scalar once, wherever it is named from."""
        key = id(node)
        if key in self._running:
            paths = [*self._running.values(), place.path]
            names = [".".join(map(str, path)) for path in paths[list(self._running).index(key) :]]
            msg = f"{names[0]} stands for itself: {' -> '.join(names)}"
            self._flaw(variables.VARIABLE_CYCLE, msg, "give one of them a value", node, place)
            return replace(node, known=False)
        if key not in self._done:
            self._running[key] = place.path
            self._done[key] = self._expanded(node, place)
            del self._running[key]
        return self._done[key]

    def _expanded(self, node: ScalarNode, place: _Place) -> Node:
        try:
            pieces = pieces_of(str(node.value))
        except ReferenceFlaw as error:
            span = error.start, error.width
            self._flaw(variables.BAD_REFERENCE, str(error), error.hint, node, place, span=span)
            return replace(node, known=False)
        if len(pieces) == 1 and isinstance(reference := pieces[0], Reference):
            return self._whole(node, reference, place)
        parts = [self._part(node, piece, place) for piece in pieces]
        told = [part for part in parts if part is not None]
        if len(told) < len(parts):
            return replace(node, known=False)
        text = "".join(part.text for part in told)
        taken = any(part.shown is not None for part in told)
        shown = "".join(part.text if part.shown is None else part.shown for part in told)
        return self._typed(node, text, shown if taken else None, place)

    def _whole(self, node: ScalarNode, reference: Reference, place: _Place) -> Node:
        """Return what a scalar stands for that is nothing but a reference; with its type."""
        found = self._value(node, reference, place)
        if found is None:
            return replace(node, known=False)
        if isinstance(found, str):
            return self._typed(node, found, None, place)
        if isinstance(found, ScalarNode) and found.from_environment:
            return self._typed(node, found.text, found.shown, place)
        self._charge(found, node)
        if place.depth + found.depth > MAX_DEPTH:
            raise _too_deep(node)
        return replace(found, position=node.position, width=node.width)

    def _part(self, node: ScalarNode, piece: str | Reference, place: _Place) -> ScalarNode | None:
        """Return a piece of a text as one; None if it has no value."""
        found = piece if isinstance(piece, str) else self._value(node, piece, place)
        if isinstance(found, str):
            return ScalarNode(found, node.position, text=found)
        if isinstance(found, ScalarNode):
            self._charge(found, node)
            return replace(found, text="") if found.value is None else found
        if found is not None and isinstance(piece, Reference):
            kind = "a mapping" if isinstance(found, MappingNode) else "a list"
            msg = f"{piece.name} is {kind}, which cannot stand within a text"
            span = piece.start, piece.width
            self._flaw(variables.NOT_TEXT, msg, "name one value of it", node, place, span=span)
        return None

    def _value(self, node: ScalarNode, reference: Reference, place: _Place) -> Node | str | None:
        """Return what is named, or the default; None, after it was told, if there is neither."""

        def expanded(inner: Node, path: Path) -> Node:
            return self._node(inner, _Place(path, place.depth + 1))

        try:
            found = self._variables.find(reference, expanded)
        except Missing as missing:
            span = reference.start, reference.width
            self._flaw(missing.rule, str(missing), missing.hint, node, place, span=span)
            return None
        known = not isinstance(found, ScalarNode) or found.known
        return found if known else None

    def _typed(self, node: ScalarNode, text: str, shown: str | None, place: _Place) -> ScalarNode:
        """Return a text as YAML has it at the place of `node`: quoted, or plain."""
        done = replace(node, value=text, text=text, shown=shown)
        self._charge(done, node)
        if node.quoted:
            return done
        try:
            return replace(done, value=resolve(text))
        except ScalarError as error:
            self._flaw(syntax.DOUBTFUL_NUMBER, str(error), error.hint, node, place)
            return replace(node, known=False)

    def _charge(self, found: Node, at: ScalarNode) -> None:
        """Count what a reference stands for; together it must stay within bounds."""
        self._nodes += found.size
        if self._nodes <= MAX_ALIASED_NODES:
            self._characters += sum(len(scalar.text) for _, scalar in scalars_of(found))
        if self._nodes > MAX_ALIASED_NODES or self._characters > MAX_BYTES:
            msg = "variables stand for too much: for over 10,000 keys and values, or 1 MiB of text"
            hint = "write fewer of them, or smaller ones"
            raise SyntaxFlaw(variables.BOMB, msg, at.position, hint, width=at.width)

    def _flaw(
        self,
        rule: Rule,
        message: str,
        hint: str,
        node: ScalarNode,
        place: _Place,
        *,
        span: tuple[int, int] | None = None,
    ) -> None:
        """Note a flaw at `node`, or at the characters `span` of it where they can be found."""
        if len(self._flaws) >= MAX_FLAWS:
            raise SyntaxFlaw(rule, "too many problems to go on", node.position)
        at, width = node.position, node.width
        before = {len(str(node.value)): 0, len(str(node.value)) + 2: 1}.get(node.width)
        if span is not None and before is not None:
            at, width = at._replace(column=at.column + before + span[0]), span[1]
        self._flaws.append(
            Flaw(rule=rule, message=message, hint=hint, position=at, width=width, path=place.path)
        )


def unresolved(root: Node) -> frozenset[Path]:
    """Return the paths of the scalars for which no value was found."""
    return frozenset(path for path, scalar in scalars_of(root) if not scalar.known)


def scalars_of(node: Node, path: Path = ()) -> Iterator[tuple[Path, ScalarNode]]:
    """Yield all single values beneath `node`, each with its path from there."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from scalars_of(item, (*path, index))
    else:
        for key, entry in node.entries.items():
            yield from scalars_of(entry.value, (*path, key))


def _too_deep(node: Node) -> SyntaxFlaw:
    msg = f"nested deeper than {MAX_DEPTH} levels, with what variables stand for"
    return SyntaxFlaw(syntax.TOO_DEEP, msg, node.position, "write fewer levels", width=node.width)
