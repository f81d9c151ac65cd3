"""`[SPEC] [JOB]...`, `--skip` and `--tags`: which spec is meant, and which of its jobs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from orchestrator.console import completing
from orchestrator.errors import UsageError
from orchestrator.files import is_folder, is_there

if TYPE_CHECKING:
    from orchestrator.plan.model import Selection

__all__ = ["DEFAULT_SPEC", "Words", "is_spec", "require_no_python", "selection_options"]

DEFAULT_SPEC = "jobs.yaml"
_SUFFIXES = (".yaml", ".yml", ".json")


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


_OPTIONS = (
    click.argument(
        "words", nargs=-1, metavar="[SPEC] [JOB]...", shell_complete=completing.specs_and_jobs
    ),
    click.option(
        "--tags",
        multiple=True,
        metavar="TAG",
        help="Jobs with this tag, too, and what they need (repeatable, or with commas).",
        shell_complete=completing.tags,
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="JOB",
        help="Leave this job out (repeatable, or with commas).",
        shell_complete=completing.spec_jobs,
    ),
)


def selection_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the arguments and options; it gets them as `spec` and `chosen`.

    It stands above `layer_options`, by which the first `-f` may be the spec.
    """

    @functools.wraps(command)
    def selected(
        *, words: tuple[str, ...], tags: tuple[str, ...], skip: tuple[str, ...], **others: Any
    ) -> int:
        spec = DEFAULT_SPEC
        for word in words:
            require_no_python(word)
        if words and is_spec(words[0]):
            spec, *words_left = words
            source = ParameterSource.COMMANDLINE
        else:
            words_left, source = list(words), ParameterSource.DEFAULT
            _check_default(words_left, others.get("files", ()))
        if another := [word for word in words_left if _is_path(word)]:
            hint = "-f lays a file over the spec; `mporch validate` takes several"
            raise UsageError(f"{another[0]} is a second spec, or no job", hint=hint)
        click.get_current_context().set_parameter_source("spec", source)
        jobs = _once(words_left, "a job")
        chosen = Words(jobs=jobs, tags=_once(tags, "a tag"), skip=_once(skip, "a job"))
        return command(spec=spec, chosen=chosen, **others)

    for option in reversed(_OPTIONS):
        selected = option(selected)
    return selected


def is_spec(word: str) -> bool:
    """True if a word is the spec, not a job: it looks like a path, or is a file."""
    return _is_path(word) or (is_there(word) and not is_folder(word))


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


def _is_path(word: str) -> bool:
    return word in ("-", os.curdir, os.pardir) or os.sep in word or word.endswith(_SUFFIXES)


def _check_default(words: list[str], files: Iterable[str]) -> None:
    """Raise UsageError if `words` are jobs of no spec: the first one was meant to be a file."""
    if words and not files and not is_there(DEFAULT_SPEC):
        raise UsageError(
            f"there is no file {words[0]}, and no {DEFAULT_SPEC} of which it could be a job",
            hint="name the path of a spec; `mporch --help` shows a smallest one",
        )


def _once(words: Iterable[str], what: str) -> tuple[str, ...]:
    """Return words, those within commas too, each once. Raises UsageError where there is none."""
    found: dict[str, None] = {}
    for word in words:
        names = [each for each in word.split(",") if each]
        if not names:
            raise UsageError(f"the name of {what} is empty", hint=f"{word} names nothing")
        found |= dict.fromkeys(names)
    return tuple(found)
