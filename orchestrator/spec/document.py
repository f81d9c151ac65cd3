"""The loaded spec: the typed document, its text, and where each piece was written."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from orchestrator.errors import Problem, Rule
from orchestrator.spec.model import Document
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Path, Position, ScalarNode

__all__ = ["LoadedSpec"]

_LEAST = 4
"""A text with fewer characters may be a part of any word: it is masked only as a whole one."""


@dataclass(frozen=True, kw_only=True)
class LoadedSpec:
    """What the user wrote. `document` holds what made sense of it, `problems` the rest.

    `path` is the file as the user named it (`<stdin>` for `-`), `file` its absolute path or None;
    `project_dir` is the absolute folder where relative paths start. `tree` is the text read, `raw`
    is it before variables were put in and jobs made of matrices; `families` names the jobs made by
    the one that has the matrix. `environment` has the variables of the environment that are named,
    with their values, None for one that is unset; `instead` has the defaults taken in the place of
    one that is unset or empty. `nulls` are the keys of jobs that count as not written, since they
    are null. `unresolved` are the places whose variables have
    no value; `wrong` those of which the document has nothing, or not all: () is anywhere.
    `layers` names what it was put together of, the file first, if that was more than one file;
    `source` is then the text of the whole, variables not put in. `texts` has what problems are
    about, by their `file`.
    """

    document: Document
    source: str
    path: str
    file: FilePath | None
    project_dir: FilePath
    tree: MappingNode
    raw: MappingNode
    families: Mapping[str, Collection[str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    nulls: frozenset[Path] = frozenset()
    unresolved: frozenset[Path] = frozenset()
    wrong: frozenset[Path] = frozenset()
    layers: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The pipeline's name: as written, else the name of the project folder."""
        return self.document.name or self.project_dir.name or "pipeline"

    def position(self, path: Path, *, key: bool = False) -> Position:
        """Return where `path` was written, or its nearest part that was.

        With `key` it is the place of the key instead of its value; so it is for a mapping, whose
        value starts at its first key.
        """
        return self._place(path, key=key)[0]

    def _place(self, path: Path, *, key: bool) -> tuple[Position, int]:
        """Return the place of `path`, and how many characters of the line it takes."""
        place, width = self.tree.position, self.tree.width
        for step in self.tree.walk(path):
            if not isinstance(step, Entry):
                place, width = step.position, step.width
            elif key or isinstance(step.value, MappingNode):
                place, width = step.key_position, step.key_width
            else:
                place, width = step.value.position, step.value.width
        return place, width

    def _masked(self, text: str, path: Path) -> str:
        """Return `text` without what the environment has given of the value at `path`."""
        steps = list(self.tree.walk(path)) if self.environment else []
        node = steps[-1] if steps else None
        node = node.value if isinstance(node, Entry) else node
        if not isinstance(node, ScalarNode) or node.shown is None or type(node.value) is not str:
            return text
        given = {node.value: node.shown}
        for name, value in self.environment.items():
            if value and (written := f"${{{name}}}") in node.shown:
                given.setdefault(value, written)
        for value, shown in given.items():
            pattern = re.escape(value)
            if len(value) < _LEAST:
                pattern = rf"(?<!\w){pattern}(?!\w)"
            text = re.sub(pattern, shown.replace("\\", r"\\"), text)
        return text

    def names(self, section: str) -> tuple[str, ...]:
        """Return the keys written under the top-level key `section`, such as `jobs`."""
        entry = self.tree.entries.get(section)
        if entry is None or not isinstance(entry.value, MappingNode):
            return ()
        return tuple(key for key in entry.value.entries if isinstance(key, str))

    def problem(
        self,
        rule: Rule,
        path: Path,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        traceback: str = "",
    ) -> Problem:
        """Return a problem at `path`, with its place; see `position` for `key`.

        A text there that the environment has given is told as it was written, with `${NAME}`.
        """
        (line, column, file), width = self._place(path, key=key)
        return Problem(
            rule=rule,
            file=file or self.path,
            line=line,
            column=column,
            width=width,
            message=self._masked(message, path),
            hint=self._masked(hint, path),
            path=".".join(map(str, path)),
            traceback=traceback,
        )
