"""Layers over a spec from the command line: single values, by `--var` and `--set`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.spec.events import Flaw
from orchestrator.spec.nodes import (
    Entry,
    MappingNode,
    Node,
    Path,
    Position,
    ScalarNode,
    SequenceNode,
    mapping_of,
    sequence_of,
)
from orchestrator.spec.overlay import with_vars_of
from orchestrator.spec.rules import syntax, variables
from orchestrator.spec.scalars import ScalarError, resolve
from orchestrator.spec.wording import did_you_mean, show

__all__ = ["SET", "VAR", "Layers", "hint_for_set", "hint_for_var"]

VAR = "--var"
SET = "--set"
"""What the options go by in problems; the line is which of them it is."""

_NAMED = {"jobs": "job", "queues": "queue"}


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The options as they were given.

    `files` are merged into the spec, the last counting most; then come the values: `variables` are
    `name=value`, for what is under `vars`, and `settings` are `jobs.parse.workers=4`. Over all of
    that come the `vars` of a `case` under `tests`, if one is named.
    """

    files: Sequence[str] = ()
    variables: Sequence[str] = ()
    settings: Sequence[str] = ()
    case: str | None = None

    def __bool__(self) -> bool:
        return bool(self.files or self.variables or self.settings or self.case is not None)

    @property
    def texts(self) -> dict[str, str]:
        """The options by what they go by in problems."""
        texts = {
            name: "\n".join(" ".join(each.splitlines()) for each in options)
            for name, options in ((VAR, self.variables), (SET, self.settings))
        }
        return {name: text for name, text in texts.items() if text}

    def over(self, root: MappingNode, flaws: list[Flaw]) -> MappingNode:
        """Return `root` with the values put in; what cannot be put in is added to `flaws`."""
        for put in self._puts(flaws):
            try:
                root = put.into(root)
            except _PutError as error:
                flaws.append(put.flaw(str(error), error.hint))
        return root if self.case is None else with_vars_of(root, self.case)

    def unused(self, root: MappingNode, named: Collection[str]) -> Iterator[Flaw]:
        """Yield a flaw for each `--var` that nothing names; `named` are the names that count."""
        entry = root.entries.get("vars")
        declared = entry.value.entries if entry and isinstance(entry.value, MappingNode) else {}
        given = [text.partition("=")[0] for text in self.variables]
        known = [str(name) for name in declared if name not in given or name in named]
        for number, name in enumerate(given, 1):
            if name and name not in named:
                message = f"nothing in the spec names vars.{name}"
                hint = (
                    did_you_mean(name, {*known, *named})
                    or f"write ${{vars.{name}}} where it counts"
                )
                at = Position(number, 1, VAR)
                yield replace(_flaw(at, len(name), message, hint), rule=variables.UNUSED_OPTION)

    def _puts(self, flaws: list[Flaw]) -> Iterator[_Put]:
        options = [(VAR, *each) for each in enumerate(self.variables, 1)]
        options += [(SET, *each) for each in enumerate(self.settings, 1)]
        for option, number, text in options:
            name, equals, written = text.partition("=")
            steps = ("vars", name) if option == VAR else tuple(name.split("."))
            start = Position(number, 1, option)
            if not equals or not all(steps):
                usual = "name" if option == VAR else "jobs.parse.workers"
                is_key = not equals and all(steps)
                hint = f"write {option} {name if is_key else usual}=value"
                message = f"{show(text)} gives no value to anything"
                flaws.append(_flaw(start, len(text), message, hint))
                continue
            at = start._replace(column=len(name) + 2)
            try:
                value = _scalar(written, at)
            except ScalarError as error:
                told = _flaw(at, len(written), str(error), error.hint)
                flaws.append(replace(told, rule=syntax.DOUBTFUL_NUMBER))
                continue
            yield _Put(path=steps, start=start, width=len(name), value=value)


class _PutError(ValueError):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class _Put:
    """A value that is to stand at a path; the option begins at `start`, its name has `width`."""

    path: tuple[str, ...]
    start: Position
    width: int
    value: ScalarNode

    def flaw(self, message: str, hint: str) -> Flaw:
        return replace(_flaw(self.start, self.width, message, hint), path=self.path)

    def into(self, root: MappingNode) -> MappingNode:
        """Return the tree with the value in it; raises _PutError."""
        section, *rest = self.path
        entry = root.entries.get(section)
        if section in _NAMED and rest and entry is not None:
            known = entry.value.entries if isinstance(entry.value, MappingNode) else {}
            if rest[0] not in known:
                hint = did_you_mean(rest[0], map(str, known)) or "--set changes what is there"
                raise _PutError(f"there is no {_NAMED[section]} {rest[0]}", hint)
        return self._in_mapping(root, self.path, ())

    def _changed(self, node: Node | None, path: Sequence[str], way: Path) -> Node:
        if not path:
            return self.value
        step, *rest = path
        if isinstance(node, SequenceNode):
            if not step.isdecimal() or int(step) >= len(node.items):
                message = f"{_dotted(way)} is a list of {len(node.items)}"
                raise _PutError(message, "items are counted from 0")
            items = list(node.items)
            items[int(step)] = self._changed(items[int(step)], rest, (*way, step))
            return sequence_of(node, items)
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            node = MappingNode({}, self.start, 1, 1)
        if not isinstance(node, MappingNode):
            written = show(node.value)
            raise _PutError(
                f"{_dotted(way)} is {written}, no mapping", f"set {_dotted(way)} itself"
            )
        return self._in_mapping(node, path, way)

    def _in_mapping(self, node: MappingNode, path: Sequence[str], way: Path) -> MappingNode:
        step, *rest = path
        before = node.entries.get(step)
        value = self._changed(before.value if before else None, rest, (*way, step))
        entry = Entry(step, self.start, self.width, value)
        if before is not None and rest:
            entry = replace(before, value=value)
        return mapping_of(node, {**node.entries, step: entry})


def _scalar(text: str, at: Position) -> ScalarNode:
    """Return a value as YAML has it without quotes; what is in quotes is text. As `resolve`."""
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    inside = text[1:-1] if quoted else text
    value = inside if quoted else resolve(text)
    return ScalarNode(value, at, max(1, len(text)), quoted=quoted, text=inside)


def hint_for_set(path: Path, text: str) -> str:
    """Return what to give to --set at `path` instead of a list or mapping; nothing for others."""
    name = _dotted(path)
    if text.startswith("["):
        return f"--set takes single values: {name}.0=… changes one item, a file by -f the list"
    if text.startswith("{"):
        return f"--set takes single values: write {name}.KEY=…"
    return ""


def hint_for_var(name: str, text: str) -> str:
    """Return what to do instead of a list or mapping given to --var; nothing for others."""
    if text[:1] in ("[", "{"):
        return f"--var takes single values: give {name} by a file laid over with -f"
    return ""


def _flaw(at: Position, width: int, message: str, hint: str) -> Flaw:
    rule = variables.BAD_OPTION
    return Flaw(rule=rule, message=message, hint=hint, position=at, width=max(1, width))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
