"""Load a spec: from a path or a text to a `LoadedSpec`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import BinaryIO

from orchestrator.errors import Problem, SpecError
from orchestrator.spec import rules
from orchestrator.spec.compose.expand import Expander
from orchestrator.spec.compose.layers import (
    Layers,
    hint_for_set,
    hint_for_var,
    in_file,
    merged,
    written,
)
from orchestrator.spec.compose.places import with_texts
from orchestrator.spec.document import LoadedSpec
from orchestrator.spec.validate import MOST_FINDINGS, ValidationFinding, understand, without_nulls
from orchestrator.spec.wording import kind
from orchestrator.spec.yaml import source
from orchestrator.spec.yaml.composer import Composer
from orchestrator.spec.yaml.nodes import (
    SET,
    VAR,
    Entry,
    MappingNode,
    Node,
    Path,
    Position,
    ScalarNode,
)
from orchestrator.spec.yaml.parser import Flaw, SyntaxFlaw

__all__ = ["for_case", "load", "loads"]


def load(
    path: str | FilePath,
    *,
    stdin: BinaryIO | None = None,
    environ: Mapping[str, str] | None = None,
    layers: Layers | None = None,
) -> LoadedSpec:
    """Read the spec at `path`; `-` is standard input (or `stdin`) with the working directory.

    `environ` has the variables of the environment for `${NAME}`; None is this process's own.
    `layers` are laid over what the file says. Keys and values that are wrong do not stop it: they
    are `LoadedSpec.problems`, which the compiler reports together with its own.

    Raises:
        SpecError: the file cannot be read, is not YAML, or is not a mapping.

    """
    return _load(source.read(path, stdin), environ, layers or Layers())


def loads(
    text: str | bytes,
    *,
    name: str = "<text>",
    project_dir: str | FilePath = ".",
    environ: Mapping[str, str] | None = None,
    layers: Layers | None = None,
) -> LoadedSpec:
    """Read a spec from `text`; `name` stands for it in messages. Otherwise as `load`."""
    origin = source.decode(text, name, FilePath(project_dir).absolute())
    return _load(origin, environ, layers or Layers())


def for_case(spec: LoadedSpec, case: str, environ: Mapping[str, str]) -> LoadedSpec:
    """Return `spec` as it is with the `vars` of a case under its `tests`. Otherwise as `load`."""
    origin = source.Source(
        text=spec.source, name=spec.path, project_dir=spec.project_dir, file=spec.file
    )
    return _load(origin, environ, Layers(case=case))


def _load(origin: source.Source, environ: Mapping[str, str] | None, layers: Layers) -> LoadedSpec:
    composer = Composer()
    flaws, doubts = composer.flaws, list[Flaw]()
    try:
        root = _composed(composer, origin.text)
        text, texts = origin.text, {origin.name: origin.text}
        if layers:
            for file in layers.files:
                above = source.read(file)
                texts[above.name] = above.text
                if (laid := _overlay(above, flaws)) is None:
                    doubts.append(_nothing_in(above.name))
                else:
                    root = merged(root, laid)
            root = layers.over(root, flaws)
            text = written(root)
        expander = Expander(root, os.environ if environ is None else environ)
        raw = root
        if any(each in text for each in ("$", "\\", "matrix")):  # an escape may be a dollar
            root = expander.expand(flaws)
        root = with_texts(root)
    except SyntaxFlaw as error:
        raise SpecError(_problem(origin.name, flaw) for flaw in [*flaws, error.flaw]) from None
    told = {flaw.position for flaw in flaws}
    written_keys, nulls = without_nulls(root)
    document, findings = understand(written_keys)
    spec = LoadedSpec(
        document=document,
        source=text,
        path=origin.name,
        file=origin.file,
        project_dir=origin.project_dir,
        tree=root,
        environment=expander.environment,
        instead=expander.instead,
        raw=raw,
        families=expander.families,
        nulls=nulls,
        unresolved=expander.lost(root),
        layers=(origin.name, *layers.files, *layers.texts) if layers else (),
        texts={**texts, **layers.texts},
    )
    if not (flaws or findings):
        doubts += layers.unused(root, expander.named)
    problems = [_problem(origin.name, flaw) for flaw in (*flaws, *doubts)]
    problems += [
        spec.problem(found.rule, found.path, found.message, _hint(spec, found), key=found.key)
        for found in findings
        if found.path not in spec.unresolved
        and spec.position(found.path, key=found.key) not in told
    ]
    return replace(spec, problems=tuple(problems), wrong=frozenset(_wrong(flaws, findings)))


def _wrong(flaws: Iterable[Flaw], findings: Sequence[ValidationFinding]) -> Iterator[Path]:
    """Yield the places of which the document lacks something; () for one that is not known."""
    for flaw in flaws:
        if flaw.rule is not rules.DOUBTFUL_NUMBER:  # that stays there, as text
            yield flaw.path
    for found in findings[:MOST_FINDINGS]:
        yield found.path
    if len(findings) > MOST_FINDINGS:
        yield ()


def _hint(spec: LoadedSpec, found: ValidationFinding) -> str:
    """Return how to mend what was found; where an option gave the value, by that option."""
    steps = list(spec.tree.walk(found.path))
    value = steps[-1].value if steps and isinstance(steps[-1], Entry) else None
    if not isinstance(value, ScalarNode):
        return found.hint
    if found.rule in (rules.UNKNOWN_KEY, rules.BAD_ITEM_NAME):  # braces are no mapping there
        return found.hint
    if value.position.file == SET:
        return hint_for_set(found.path, value.text) or found.hint
    given = next(
        (each for each in value.named if each.position and each.position.file == VAR), None
    )
    return (hint_for_var(given.name, value.text) if given else "") or found.hint


def _nothing_in(name: str) -> Flaw:
    message = f"{name} lays nothing over: it is empty, or all of it is comments"
    hint = "leave it out, or write the keys that it changes"
    at = Position(1, 1, name)
    return Flaw(rule=rules.EMPTY_LAYER, message=message, hint=hint, position=at, width=1, path=())


def _overlay(above: source.Source, flaws: list[Flaw]) -> MappingNode | None:
    """Return the tree of a file that is laid over, None if there is nothing in it.

    Its flaws are added; raises SyntaxFlaw.
    """
    composer = Composer()

    def placed(flaw: Flaw) -> Flaw:
        return replace(flaw, position=flaw.position._replace(file=above.name))

    try:
        root = composer.compose(above.text)
        if root is None:
            return None
        root = _mapping(root)
    except SyntaxFlaw as error:
        error.flaw = placed(error.flaw)
        raise
    finally:
        flaws += map(placed, composer.flaws)
    return in_file(root, above.name)


def _composed(composer: Composer, text: str) -> MappingNode:
    """Return the tree of a spec's text; raises SyntaxFlaw."""
    return _mapping(composer.compose(text))


def _mapping(root: Node | None) -> MappingNode:
    if isinstance(root, MappingNode):
        return root
    value = None if root is None else root.plain()
    what = "the spec is empty" if value is None else f"the spec is {kind(value)}"
    at = root.position if root else Position(1, 1)
    hint = "expected a mapping with version: 1 and jobs:"
    raise SyntaxFlaw(rules.NOT_A_MAPPING, what, at, hint)


def _problem(name: str, flaw: Flaw) -> Problem:
    line, column, file = flaw.position
    return Problem(
        rule=flaw.rule,
        file=file or name,
        line=line,
        column=column,
        width=flaw.width,
        message=flaw.message,
        hint=flaw.hint,
        path=".".join(map(str, flaw.path)),
    )
