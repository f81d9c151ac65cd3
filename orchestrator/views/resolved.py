"""The resolved spec as YAML or as a tree, with the origin of each value beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from orchestrator.plan.resolved import Branch, Leaf, Origin
from orchestrator.spec.yaml.scalars import ScalarError, resolve
from orchestrator.views.tables import Paper
from orchestrator.views.text import Style, escaped, paint

__all__ = ["render_tree", "render_yaml"]

_PLAIN = re.compile(r"[A-Za-z0-9_./$][\w./:${}@+-]*(?<!:)", re.ASCII)
_DOLLAR = re.compile(r"\$(?=[${])")
_WIDEST = 1_000_000
_COLUMN = 40
"""Where origins begin, unless a value is longer."""

_Line = tuple[str, Origin | None]


def render_yaml(root: Branch, paper: Paper, *, origins: bool) -> str:
    """Return a spec that says the same; with `origins` as comments."""
    return _text(_yaml_lines(root, ""), paper, mark="  # ", origins=origins)


def render_tree(root: Branch, name: str, paper: Paper, *, origins: bool) -> str:
    """Return the values as a tree below `name`; with `origins` beside them."""
    head = paint(escaped(name), Style.BOLD, colour=paper.colour)
    return f"{head}\n" + _text(_tree_lines(root, ""), paper, mark="  ", origins=origins)


def _text(lines: Iterator[_Line], paper: Paper, *, mark: str, origins: bool) -> str:
    told = []
    for text, origin in lines:
        line = escaped(text)
        if origins and origin is not None:
            beside = paint(escaped(f"{mark}{origin}"), Style.DIM, colour=paper.colour)
            line = f"{line:<{_COLUMN}}{beside}"
        told.append(f"{line}\n")
    return "".join(told)


def _yaml_lines(branch: Branch, indent: str) -> Iterator[_Line]:
    for key, node in branch.inner.items():
        head = f"{indent}-" if branch.is_list else f"{indent}{_scalar(key)}:"
        if isinstance(node, Leaf):
            yield f"{head} {_value(node)}", node.origin
        elif branch.is_list:
            lines = _yaml_lines(node, f"{indent}  ")
            first, origin = next(lines)
            yield f"{head} {first[len(indent) + 2 :]}", origin
            yield from lines
        else:
            yield head, node.origin
            yield from _yaml_lines(node, f"{indent}  ")


def _tree_lines(branch: Branch, indent: str) -> Iterator[_Line]:
    for number, (key, node) in enumerate(branch.inner.items(), 1):
        last = number == len(branch.inner)
        head = f"{indent}{'└─' if last else '├─'} {_scalar(key)}"
        if isinstance(node, Leaf):
            yield f"{head}: {_value(node)}", node.origin
        else:
            yield head, node.origin
            yield from _tree_lines(node, f"{indent}{'   ' if last else '│  '}")


def _value(leaf: Leaf) -> str:
    value = leaf.value
    if leaf.literal and isinstance(value, str):
        value = _DOLLAR.sub("$$", value)
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a value as YAML has it, on one line."""
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if isinstance(value, float):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _is_plain(text: str) -> bool:
    try:
        return _PLAIN.fullmatch(text) is not None and resolve(text) == text
    except ScalarError:
        return False


def _quoted(text: str) -> str:
    event = yaml.ScalarEvent(None, None, (True, True), text, style='"')
    around = [yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False)]
    behind = [yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent()]
    done: str = yaml.emit([*around, event, *behind], allow_unicode=True, width=_WIDEST)
    return done.removeprefix("--- ").rstrip("\n")  # which stands before an empty text
