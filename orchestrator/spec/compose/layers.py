"""Layers over a spec: files merged into it, single values by `--var` and `--set`; its text anew.

A file's pieces know where they were written. The text that is written of the whole reads as the
same tree again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from orchestrator.spec import rules
from orchestrator.spec.wording import HintedError, did_you_mean, show
from orchestrator.spec.yaml.nodes import (
    SET,
    VAR,
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
from orchestrator.spec.yaml.parser import Flaw
from orchestrator.spec.yaml.scalars import ScalarError, resolve

__all__ = [
    "Layers",
    "hint_for_set",
    "hint_for_var",
    "in_file",
    "laid_over",
    "merged",
    "with_vars_of",
    "written",
]

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
                yield replace(_flaw(at, len(name), message, hint), rule=rules.UNUSED_OPTION)

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
                flaws.append(replace(told, rule=rules.DOUBTFUL_NUMBER))
                continue
            yield _Put(path=steps, start=start, width=len(name), value=value)


class _PutError(HintedError):
    """An option that sets nothing."""


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
    rule = rules.BAD_OPTION
    return Flaw(rule=rule, message=message, hint=hint, position=at, width=max(1, width))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def merged(below: MappingNode, above: MappingNode) -> MappingNode:
    """Return `below` with what `above` says.

    Mappings are merged key by key; a list or a single value replaces what is there; null removes
    it, and stands for itself where nothing is.
    """
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        before = entries.get(key)
        if before is None:
            entries[key] = entry
        elif isinstance(entry.value, ScalarNode) and entry.value.value is None:
            del entries[key]
        elif isinstance(entry.value, MappingNode) and isinstance(before.value, MappingNode):
            entries[key] = replace(before, value=merged(before.value, entry.value))
        else:
            entries[key] = entry
    return mapping_of(below, entries)


def laid_over(below: Node, above: Node) -> Node:
    """Return a job's value over that of `defaults`: mappings merged to any depth, null a value."""
    if not (isinstance(below, MappingNode) and isinstance(above, MappingNode)):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        before = entries.get(key)
        value = entry.value if before is None else laid_over(before.value, entry.value)
        entries[key] = replace(entry, value=value)
    return mapping_of(below, entries)


def with_vars_of(root: MappingNode, case: str) -> MappingNode:
    """Return `root` with the `vars` of one of its cases, if that has any, over its own."""
    steps = list(root.walk(("tests", case, "vars")))
    if len(steps) < 3 or not isinstance(entry := steps[-1], Entry):
        return root
    return merged(root, mapping_of(root, {"vars": entry}))


def in_file(root: MappingNode, file: str) -> MappingNode:
    """Return a tree whose places are in `file`."""
    moved = replace(root, position=root.position._replace(file=file))
    return mapping_of(moved, {key: _entry(entry, file) for key, entry in root.entries.items()})


def _entry(entry: Entry, file: str) -> Entry:
    place = entry.key_position._replace(file=file)
    return replace(entry, key_position=place, value=_node(entry.value, file))


def _node(node: Node, file: str) -> Node:
    if isinstance(node, MappingNode):
        return in_file(node, file)
    moved = replace(node, position=node.position._replace(file=file))
    if isinstance(moved, SequenceNode):
        return sequence_of(moved, [_node(item, file) for item in moved.items])
    return moved


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
