"""The catalogue: every rule a spec can break, each with its stable code, its reasons and examples.

`docs/rules.md` and `mporch explain` are made of it. To add a rule:

1. Write a `Rule` into the module of its theme (or a new module, named in `_THEMES` below), with the
   next free code of that theme. A code that was released keeps its meaning for ever.
2. Raise it: `yield draft.spec.problem(wiring.UNKNOWN_QUEUE, path, message, hint)`. A `Problem`
   cannot be made without its rule, and has the rule's severity.
3. Run `mporch explain --format markdown > docs/rules.md`.

`wrong` and `right` are whole specs, checked beside the `mine.py` below; a test proves that each
`wrong` raises its own code and nothing else, and each `right` nothing at all. Lines that begin with
`$ ` come first in an example: they are commands of `sh` that are run in its folder, and what
follows, if anything, is its jobs.yaml. The last may be `mporch validate` with options, which checks
the jobs.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from orchestrator.errors import Rule
from orchestrator.spec.rules import (
    cases,
    commands,
    files,
    imports,
    jobs,
    order,
    syntax,
    targets,
    values,
    variables,
    wiring,
)

__all__ = ["CATALOGUE", "MINE", "THEMES", "Theme"]

MINE = """\
limit = 10


def numbers():
    yield from range(100)


def fill(out, most=100):
    for number in range(most):
        out.put(number)


def double(number):
    return 2 * number


def double_all(numbers):
    return [2 * number for number in numbers]


def show(number):
    print(number)


def join(first, second):
    numbers = list(first)
    for number in second:
        print(number in numbers)


def pairs(first, second):
    for one, other in zip(first, second):
        print(one, other)


def report(verbose=False):
    print("done", verbose)


async def later(number):
    return number
"""
"""The `mine.py` beside each example."""


class Theme(NamedTuple):
    """Rules that belong together, in the order of their codes."""

    title: str
    rules: tuple[Rule, ...]


_THEMES: tuple[tuple[str, ModuleType], ...] = (
    ("The file", files),
    ("YAML", syntax),
    ("Variables", variables),
    ("Keys and values", values),
    ("Queues", wiring),
    ("Jobs", jobs),
    ("Order", order),
    ("Targets", targets),
    ("Targets, imported", imports),
    ("Commands", commands),
    ("Tests", cases),
)


def _rules_in(module: ModuleType) -> Iterator[Rule]:
    return (value for value in vars(module).values() if isinstance(value, Rule))


THEMES = tuple(Theme(title, tuple(_rules_in(module))) for title, module in _THEMES)
CATALOGUE: Mapping[str, Rule] = MappingProxyType(
    {rule.code: rule for theme in THEMES for rule in theme.rules}
)
"""Every rule by its code."""
