"""Puts the values of variables in the place of `${…}`, in the values of a positioned tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from orchestrator.errors import Rule
from orchestrator.spec import rules
from orchestrator.spec.compose.matrix import Families, MatrixExpander
from orchestrator.spec.compose.places import Wanted, hint_for_late, misplaced, wanted_at
from orchestrator.spec.compose.shell import ScriptFlaw, Value, script_of
from orchestrator.spec.compose.variables import (
    Missing,
    Reference,
    ReferenceFlaw,
    Scope,
    Variables,
    pieces_of,
)
from orchestrator.spec.yaml.composer import MAX_ALIASED_NODES, MAX_DEPTH, MAX_FLAWS
from orchestrator.spec.yaml.nodes import (
    MappingNode,
    Named,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    characters_in,
    mapping_of,
    scalars_of,
    sequence_of,
)
from orchestrator.spec.yaml.parser import Flaw, SyntaxFlaw
from orchestrator.spec.yaml.scalars import ScalarError, resolve
from orchestrator.spec.yaml.source import MAX_BYTES

__all__ = ["Expander"]


_Key: TypeAlias = tuple[int, Scope | None, Wanted]
"""A scalar, the matrix it is in, and what is wanted there."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an expansion has come to: the path, how deep in nodes and references, the matrix."""

    path: Path
    depth: int = 0
    scope: Scope | None = None

    def at(self, step: str | int) -> _Place:
        return _Place((*self.path, step), self.depth + 1, self.scope)

    @property
    def wanted(self) -> Wanted:
        return wanted_at(self.path)


class Expander:
    """Expands one tree. Where something has no value, the text stays as it is."""

    def __init__(self, root: MappingNode, environ: Mapping[str, str]) -> None:
        self._flaws: list[Flaw] = []
        self._root = root
        self._variables = Variables(root, environ)
        self._maker = MatrixExpander(
            lambda node, path, scope: self._node(node, _Place(path, len(path) - 1, scope))
        )
        self._done: dict[_Key, Node] = {}
        self._running: dict[_Key, Path] = {}
        self._nodes = 0
        self._characters = 0

    @property
    def environment(self) -> Mapping[str, str | None]:
        """The variables of the environment that are named, with their values."""
        return self._variables.used

    @property
    def instead(self) -> Mapping[str, str]:
        """The defaults that were taken in the place of variables, by these; NUL parts several."""
        return {name: "\0".join(sorted(found)) for name, found in self._variables.defaulted.items()}

    @property
    def named(self) -> Collection[str]:
        """The names under `vars` that something in the spec has named."""
        return self._variables.named

    @property
    def families(self) -> Families:
        """The names of the jobs made, by that of the job that has the matrix."""
        return self._maker.families

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
            else replace(entry, value=self._section(entry.value, _Place((key,))))
            for key, entry in self._root.entries.items()
        }
        root = mapping_of(self._root, entries)
        if self._variables.late:
            flaws += islice(misplaced(root), MAX_FLAWS)
        return root

    def lost(self, root: MappingNode) -> frozenset[Path]:
        """Return the paths in the expanded tree of the scalars that have no value, or none yet."""
        told = {flaw.path for flaw in self._flaws if flaw.rule is rules.NOT_YET_KNOWN}
        if not (self._flaws or self._maker.wrong):
            return frozenset()
        return frozenset(path for path, each in scalars_of(root) if not each.known) | told

    def _section(self, section: Node, place: _Place) -> Node:
        if place.path == ("jobs",) and isinstance(section, MappingNode):
            return self._maker.jobs(section, self._flaws)
        return self._node(section, place)

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
        """Expand a scalar once, wherever it is named from, and anew for each job of a matrix."""
        key = id(node), place.scope, place.wanted
        if key in self._running:
            paths = [*self._running.values(), place.path]
            names = [".".join(map(str, path)) for path in paths[list(self._running).index(key) :]]
            msg = f"{names[0]} stands for itself: {' -> '.join(names)}"
            self._flaw(rules.VARIABLE_CYCLE, msg, "give one of them a value", node, place)
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
            inside = str(node.value)[error.start + 2 : error.start + error.width - 1]
            hint = hint_for_late(inside, place.path) or error.hint
            self._flaw(rules.BAD_REFERENCE, str(error), hint, node, place, span=span)
            return replace(node, known=False)
        if len(pieces) == 1 and isinstance(reference := pieces[0], Reference):
            return self._whole(node, reference, place)
        if place.wanted is Wanted.SCRIPT:
            return self._script(node, pieces, place)
        parts = [self._part(node, piece, place) for piece in pieces]
        told = [part for part in parts if part is not None]
        if len(told) < len(parts):
            return replace(node, known=False)
        return self._typed(node, _joined(told), place)

    def _whole(self, node: ScalarNode, reference: Reference, place: _Place) -> Node:
        """Return what a scalar stands for that is nothing but a reference; with its type."""
        found = self._value(node, reference, place)
        if found is None:
            return replace(node, known=False)
        if place.wanted is Wanted.SCRIPT and isinstance(found, ScalarNode):
            return self._read_by_shell(node, [Value(reference, found)], place)
        if isinstance(found, ScalarNode) and found.from_environment:
            return self._typed(node, found, place)
        self._charge(found, node)
        if place.depth + found.depth > MAX_DEPTH:
            raise _too_deep(node)
        found = replace(found, position=node.position, width=node.width)
        if place.wanted is not Wanted.VALUE:
            return _as_given(found) if isinstance(found, ScalarNode) else found
        return found if self._is_clear(found, place) else replace(node, known=False)

    def _is_clear(self, found: Node, place: _Place) -> bool:
        """True if all in `found` that the environment gave has one meaning; told if it has not."""
        if place.path[0] == "vars":  # text may be wanted where it is named
            return True
        doubtful = next((each for _, each in scalars_of(found) if each.doubt), None)
        if doubtful is not None and doubtful.doubt is not None:
            error, at = doubtful.doubt, replace(doubtful, position=found.position)
            self._flaw(rules.DOUBTFUL_NUMBER, str(error), error.hint, at, place)
        return doubtful is None

    def _script(
        self, node: ScalarNode, pieces: Sequence[str | Reference], place: _Place
    ) -> ScalarNode:
        """Return a text for the shell: each reference in it becomes a variable of the shell."""
        parts: list[str | Value] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
            elif (found := self._part(node, piece, place)) is not None:
                parts.append(Value(piece, found))
        if len(parts) < len(pieces):
            return replace(node, known=False)
        return self._read_by_shell(node, parts, place)

    def _read_by_shell(
        self, node: ScalarNode, parts: Sequence[str | Value], place: _Place
    ) -> ScalarNode:
        try:
            script = script_of(parts)
        except ScriptFlaw as error:
            span = error.reference.start, error.reference.width
            rule = rules.NO_PLACE_FOR_A_VALUE
            self._flaw(rule, str(error), error.hint, node, place, span=span)
            return replace(node, known=False)
        found = [part.found for part in parts if isinstance(part, Value)]
        done = replace(
            node,
            value=script.text,
            text=script.text,
            shown=script.told,
            words=script.words,
            late=tuple(late for each in found for late in each.late),
            named=tuple(named for each in found for named in each.named),
        )
        self._charge(done, node)
        return done

    def _part(self, node: ScalarNode, piece: str | Reference, place: _Place) -> ScalarNode | None:
        """Return a piece of a text as one; None if it has no value."""
        if isinstance(piece, str):
            return ScalarNode(piece, node.position, text=piece)
        found = self._value(node, piece, place)
        if isinstance(found, ScalarNode):
            self._charge(found, node)
            return replace(found, text="") if found.value is None else found
        if found is not None:
            kind = "a mapping" if isinstance(found, MappingNode) else "a list"
            msg = f"{piece.name} is {kind}, which cannot stand within a text"
            span = piece.start, piece.width
            self._flaw(rules.NOT_TEXT, msg, "name one value of it", node, place, span=span)
        return None

    def _value(self, node: ScalarNode, reference: Reference, place: _Place) -> Node | None:
        """Return what is named, or the default; None, after it was told, if there is neither.

        A default is, as what the environment gives, a text that is not typed yet.
        """

        def expanded(inner: Node, path: Path) -> Node:
            return self._node(inner, _Place(path, place.depth + 1))

        if reference.shell and place.wanted is not Wanted.SCRIPT:
            message = f"${{{reference.name}:shell}} is for a command that is text"
            hint, span = f"write ${{{reference.name}}}", (reference.start, reference.width)
            self._flaw(rules.BAD_REFERENCE, message, hint, node, place, span=span)
            return None
        try:
            found = self._variables.find(reference, expanded, place.scope)
        except Missing as missing:
            span = reference.start, reference.width
            late = "" if "${vars." in missing.hint else hint_for_late(reference.name, place.path)
            hint = late or missing.hint
            self._flaw(missing.rule, str(missing), hint, node, place, span=span)
            return None
        if isinstance(found, str):
            named = Named(reference.name, default=True)
            return ScalarNode(
                found, node.position, text=found, from_environment=True, named=(named,)
            )
        if not isinstance(found, ScalarNode):
            return found
        named = Named(reference.name, found.position if found.position.line else None)
        return replace(found, named=(named, *found.named)) if found.known else None

    def _typed(self, node: ScalarNode, found: ScalarNode, place: _Place) -> ScalarNode:
        """Return a text as YAML has it at the place of `node`: quoted, or plain."""
        done = replace(
            node,
            value=found.text,
            text=found.text,
            shown=found.shown,
            late=found.late,
            named=found.named,
        )
        self._charge(done, node)
        if node.quoted or done.late or place.wanted is not Wanted.VALUE:
            return done
        try:
            return replace(done, value=resolve(found.text))
        except ScalarError as error:
            if place.path[0] == "vars" and done.shown is not None:
                return replace(done, doubt=error)
            self._flaw(rules.DOUBTFUL_NUMBER, str(error), error.hint, node, place)
            return replace(node, known=False)

    def _charge(self, found: Node, at: ScalarNode) -> None:
        """Count what a reference stands for; together it must stay within bounds."""
        self._nodes += found.size
        if self._nodes <= MAX_ALIASED_NODES:
            self._characters += characters_in(found)
        if self._nodes > MAX_ALIASED_NODES or self._characters > MAX_BYTES:
            msg = "variables stand for too much: for over 10,000 keys and values, or 1 MiB of text"
            hint = "write fewer of them, or smaller ones"
            raise SyntaxFlaw(rules.BOMB, msg, at.position, hint, width=at.width)

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


def _as_given(found: ScalarNode) -> ScalarNode:
    """Return what the environment gave as text, whatever it looks like; else `found` itself."""
    return found if found.shown is None else replace(found, value=found.text, doubt=None)


def _joined(parts: Sequence[ScalarNode]) -> ScalarNode:
    """Return the pieces of a text as one."""
    text = "".join(part.text for part in parts)
    shown = "".join(part.text if part.shown is None else part.shown for part in parts)
    late = any(part.late for part in parts)
    return ScalarNode(
        text,
        parts[0].position,
        text=text,
        shown=shown if any(part.shown is not None for part in parts) else None,
        late=tuple(piece for part in parts for piece in part.late or (part.text,)) if late else (),
        named=tuple(named for part in parts for named in part.named),
    )


def _too_deep(node: Node) -> SyntaxFlaw:
    msg = f"nested deeper than {MAX_DEPTH} levels, with what variables stand for"
    return SyntaxFlaw(rules.TOO_DEEP, msg, node.position, "write fewer levels", width=node.width)
