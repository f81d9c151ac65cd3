"""The rule on defaults of `${matrix.name}`: they are of the type that the values have."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orchestrator.errors import Problem
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.wording import kind
from orchestrator.spec.yaml.nodes import Entry, Path, ScalarNode, scalars_of
from orchestrator.spec.yaml.scalars import ScalarError, resolve

__all__ = ["RULES"]


def text_default(draft: ResolvedSpec) -> Iterator[Problem]:
    """A default in quotes, which is text, is no number that other jobs of the matrix have."""
    for made in draft.spec.families.values():
        for path, defaults, others in _places(draft, made):
            job, default = defaults
            other, value = others
            message = (
                f"the default is {kind(default.value)} in {job},"
                f" and the value in {other} is {kind(value.value)}"
            )
            mark = f"{path[-1]}:" if isinstance(path[-1], str) else "-"
            written = f"{mark} ${{{default.named[0].name}:-{default.value}}}"
            hint = f"it is typed on a line of its own, without quotes: {written}"
            yield draft.spec.problem(rules.TEXT_DEFAULT, ("jobs", job, *path), message, hint)


_Scalar = tuple[str, ScalarNode]


def _places(draft: ResolvedSpec, made: Collection[str]) -> Iterator[tuple[Path, _Scalar, _Scalar]]:
    """Yield where jobs of a matrix have a default that is text, and others another type."""
    defaults: dict[Path, _Scalar] = {}
    others: dict[Path, _Scalar] = {}
    for name in made:
        *_, job = draft.spec.tree.walk(("jobs", name))
        assert isinstance(job, Entry)
        for path, scalar in scalars_of(job.value):
            if _is_text_default(scalar):
                defaults.setdefault(path, (name, scalar))
            elif scalar.known and scalar.named and isinstance(scalar.value, bool | int | float):
                others.setdefault(path, (name, scalar))
    for path, default in defaults.items():
        if path in others:
            yield path, default, others[path]


def _is_text_default(scalar: ScalarNode) -> bool:
    """True if it is nothing but a default, in quotes, and would be no text without them."""
    is_default = len(scalar.named) == 1 and scalar.named[0].default and scalar.quoted
    if not is_default or not isinstance(scalar.value, str):
        return False
    try:
        return isinstance(resolve(scalar.value), bool | int | float)
    except ScalarError:
        return False


RULES = (text_default,)
