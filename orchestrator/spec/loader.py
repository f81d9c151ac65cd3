"""Load a spec: from a path or a text to a `Spec`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import Problem, SpecError
from orchestrator.spec import source
from orchestrator.spec.compose import Composer
from orchestrator.spec.document import Spec
from orchestrator.spec.events import Flaw, SyntaxFlaw
from orchestrator.spec.nodes import MappingNode, Position
from orchestrator.spec.rules import syntax
from orchestrator.spec.validate import understand
from orchestrator.spec.wording import kind

__all__ = ["load", "loads"]


def load(path: str | Path, *, stdin: BinaryIO | None = None) -> Spec:
    """Read the spec at `path`; `-` is standard input (or `stdin`) with the working directory.

    Keys and values that are wrong do not stop it: they are `Spec.problems`, which the compiler
    reports together with its own.

    Raises:
        SpecError: the file cannot be read, is not YAML, or is not a mapping.

    """
    return _load(source.read(path, stdin))


def loads(text: str | bytes, *, name: str = "<text>", project_dir: str | Path = ".") -> Spec:
    """Read a spec from `text`; `name` stands for it in messages. Otherwise as `load`."""
    return _load(source.decode(text, name, Path(project_dir).absolute()))


def _load(origin: source.Source) -> Spec:
    composer = Composer()
    try:
        root = composer.compose(origin.text)
    except SyntaxFlaw as error:
        flaws = [*composer.flaws, error.flaw]
        raise SpecError(_problem(origin.name, flaw) for flaw in flaws) from None
    if not isinstance(root, MappingNode):
        value = None if root is None else root.plain()
        what = "the spec is empty" if value is None else f"the spec is {kind(value)}"
        at = root.position if root else Position(1, 1)
        hint = "expected a mapping with version: 1 and jobs:"
        rule = syntax.NOT_A_MAPPING
        flaws = [*composer.flaws, Flaw(rule=rule, message=what, hint=hint, position=at)]
        raise SpecError(_problem(origin.name, flaw) for flaw in flaws)
    document, findings = understand(root.plain())
    spec = Spec(
        document=document,
        source=origin.text,
        path=origin.name,
        file=origin.file,
        project_dir=origin.project_dir,
        tree=root,
    )
    told = {flaw.position for flaw in composer.flaws}
    problems = [_problem(origin.name, flaw) for flaw in composer.flaws]
    problems += [
        spec.problem(found.rule, found.path, found.message, found.hint, key=found.key)
        for found in findings
        if spec.position(found.path, key=found.key) not in told
    ]
    return dataclasses.replace(spec, problems=tuple(problems))


def _problem(name: str, flaw: Flaw) -> Problem:
    line, column = flaw.position
    return Problem(
        rule=flaw.rule,
        file=name,
        line=line,
        column=column,
        width=flaw.width,
        message=flaw.message,
        hint=flaw.hint,
    )
