"""Words of a command line that name a spec, jobs and tags."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from orchestrator.errors import UsageError
from orchestrator.files import is_folder, is_there

if TYPE_CHECKING:
    from orchestrator.plan.model import Selection

__all__ = [
    "DEFAULT_SPEC",
    "SUFFIXES",
    "Words",
    "is_path",
    "is_spec",
    "once",
    "require_no_python",
    "variables_of",
]


DEFAULT_SPEC = "jobs.yaml"
SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the user wrote to choose jobs; nothing of it is every job."""

    jobs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.tags or self.skip)

    def selection(self) -> Selection:
        """Return it as the plan has it."""
        from orchestrator.plan.model import Selection  # noqa: PLC0415 -- not for --help

        return Selection(jobs=self.jobs, tags=self.tags, skip=self.skip)


def is_spec(word: str) -> bool:
    """True if a word is the spec, not a job: it looks like a path, or is a file."""
    return is_path(word) or (is_there(word) and not is_folder(word))


def require_no_python(word: str) -> None:
    """Raise UsageError if `word` is a file of Python, or a target, where a spec or job belongs."""
    module, colon, name = word.partition(":")
    if word.endswith(".py"):
        message = f"{word} is Python, not a spec"
    elif colon and name.isidentifier() and not is_there(word) and os.sep not in name:
        message = f"{word} is a target in Python, not a spec or a job"
    else:
        return
    stem = os.path.basename(module).removesuffix(".py")  # noqa: PTH119 -- may be no path
    hint = f'name a spec in which a job has target: "{stem}:{name or "FUNCTION"}"'
    raise UsageError(message, hint=f"{hint}; `mporch init` writes one")


def is_path(word: str) -> bool:
    """True if a word looks like the path of a spec."""
    return word in ("-", os.curdir, os.pardir) or os.sep in word or word.endswith(SUFFIXES)


def once(words: Iterable[str], what: str) -> tuple[str, ...]:
    """Return words, those within commas too, each once. Raises UsageError where there is none."""
    found: dict[str, None] = {}
    for word in words:
        names = [each for each in word.split(",") if each]
        if not names:
            raise UsageError(f"the name of {what} is empty", hint=f"{word} names nothing")
        found |= dict.fromkeys(names)
    return tuple(found)


def variables_of(param: click.Parameter) -> list[str]:
    """Return the variables that a parameter is read from, the first that is set."""
    found = param.envvar or []
    return [found] if isinstance(found, str) else list(found)
