"""The rule on arguments: words in them that readers of YAML 1.1 take for something else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.errors import Problem
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Node, Path, ScalarNode

__all__ = ["RULES"]

_OTHERWISE = {
    re.compile("yes|Yes|YES|on|On|ON"): ("true", "write true"),
    re.compile("no|No|NO|off|Off|OFF"): ("false", "write false"),
    re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII): (
        "a number of seconds or minutes",
        "write the number",
    ),
    re.compile(r"[-+]?(?:[1-9][0-9]*_[0-9_]*|0b[01_]+|0x[0-9a-fA-F]*_[0-9a-fA-F_]*)", re.ASCII): (
        "a number",
        "write it without _ or 0b",
    ),
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9:.]+(?: ?[-+Z][0-9:]*)?)?", re.ASCII): (
        "a date",
        "",
    ),
}
"""Unquoted text: what YAML 1.1 makes of it, and how to write that."""


def doubtful_word(draft: ResolvedSpec) -> Iterator[Problem]:
    """A word in an argument that is something else in YAML 1.1 is pointed out."""
    for path in (("defaults",), *(("jobs", name) for name in draft.jobs)):
        for key in ("args", "kwargs"):
            *_, last = (None, *draft.spec.tree.walk((*path, key)))
            if isinstance(last, Entry) and last.key == key:
                yield from _doubts(draft, (*path, key), last.value)


def _doubts(draft: ResolvedSpec, path: Path, node: Node) -> Iterator[Problem]:
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield from _doubts(draft, (*path, key), entry.value)
    elif not isinstance(node, ScalarNode):
        for index, item in enumerate(node.items):
            yield from _doubts(draft, (*path, index), item)
    elif isinstance(node.value, str) and not node.quoted:
        for pattern, (what, instead) in _OTHERWISE.items():
            if pattern.fullmatch(node.value):
                message = f'"{node.value}" is text here, {what} in YAML 1.1'
                hint = f'write "{node.value}" if it is text'
                if instead:
                    hint = f'{instead}, or "{node.value}" if it is text'
                yield draft.spec.problem(rules.DOUBTFUL_WORD, path, message, hint)


RULES = (doubtful_word,)
