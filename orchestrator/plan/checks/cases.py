"""Rules on the cases under `tests`: they speak of what is there, and of what they run."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from orchestrator.errors import Problem
from orchestrator.plan.cases import Links, Selector, links_of_draft, replaced_by
from orchestrator.plan.matching import is_matcher
from orchestrator.plan.resolved_spec import ResolvedSpec, Unknowns
from orchestrator.spec import rules
from orchestrator.spec.cases import Case, Expected, Given
from orchestrator.spec.itemsfile import ItemsFileError, read_items
from orchestrator.spec.wording import Guesses, did_you_mean, kind, listed, show
from orchestrator.spec.yaml.nodes import Path

__all__ = ["RULES", "MatcherFlaw", "flaws_of"]

_MOST_JOBS = 100_000
"""Of all cases: what they run is looked through until it would take too long."""
_EXPECTATIONS = ("equals", "in_any_order", "contains", "each")


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A queue, job or variable that a case names."""

    what: str
    name: str
    path: Path
    is_key: bool = True


def _cases(draft: ResolvedSpec) -> Iterator[tuple[Case, Path]]:
    for name, case in draft.spec.document.tests.items():
        yield case, ("tests", name)


def _named(case: Case, path: Path) -> Iterator[_Named]:
    """Yield all that a case names."""
    keys: tuple[tuple[str, Path, Iterable[str]], ...] = (
        ("variable", ("vars",), case.vars),
        ("queue", ("give",), case.give),
        ("job", ("replace",), case.replace),
        ("queue", ("expect", "queues"), case.expect.queues),
        ("job", ("expect", "dead"), case.expect.dead),
        ("job", ("expect", "jobs"), case.expect.jobs),
    )
    for what, at, names in keys:
        for name in names:
            yield _Named(what=what, name=name, path=(*path, *at, name))
    for index, kill in enumerate(case.kill):
        at = (*path, "kill", index, "job")
        yield _Named(what="job", name=kill.job, path=at, is_key=False)


def unknown_name(draft: ResolvedSpec) -> Iterator[Problem]:
    """Each queue, job and variable that a case names is there, and enabled."""
    known = {
        what: Guesses(draft.spec.names(section))
        for what, section in (("queue", "queues"), ("job", "jobs"), ("variable", "vars"))
    }
    families = draft.spec.families
    for case, path in _cases(draft):
        for named in _named(case, path):
            message, hint = f"there is no {named.what} {named.name}", ""
            if named.path[2] == "replace" and named.name in families:
                hint = ""
                if draft.disabled.keys() >= set(families[named.name]):
                    message, hint = (
                        f"the job {named.name} is disabled",
                        "enable it, or test another",
                    )
            elif named.name not in known[named.what]:
                hint = known[named.what].hint(named.name) or f"name a {named.what} of this spec"
            elif named.what == "job" and named.name in draft.disabled:
                message, hint = f"the job {named.name} is disabled", "enable it, or test another"
            if hint:
                rule, key = rules.UNKNOWN_NAME, named.is_key
                yield draft.spec.problem(rule, named.path, message, hint, key=key)


def not_in_case(draft: ResolvedSpec) -> Iterator[Problem]:
    """Check that what is expected, or killed, is run."""
    if draft.unclear != Unknowns():
        return
    links, left = links_of_draft(draft.jobs), _MOST_JOBS
    selector = Selector(links)
    used_by_all = _used(links, links)
    for case, path in _cases(draft):
        if not case.give:
            continue  # all is run
        part = selector.part(case.give, replaced_by(case, draft.spec.families))
        queues = _used(links, part)
        left -= len(part)
        if left < 0:
            return  # a run of such a case tells it, too
        if any(wrong[: len(path) + 1] == (*path, "give") for wrong in draft.spec.wrong):
            continue
        if not case.give.keys() <= used_by_all:
            continue
        for named in _named(case, path):
            if named.what == "job":
                absent = named.name in links and named.name not in part
            elif named.what == "queue":
                absent = named.name in draft.spec.document.queues and named.name not in queues
            else:
                continue
            if absent:
                message = f"the {named.what} {named.name} is no part of this case"
                hint = _what_runs(part, case)
                rule, key = rules.NOT_IN_CASE, named.is_key
                yield draft.spec.problem(rule, named.path, message, hint, key=key)


def _used(links: Mapping[str, Links], jobs: Iterable[str]) -> set[str]:
    return {queue for name in jobs for queue in (*links[name].reads, *links[name].writes)}


def _what_runs(part: frozenset[str], case: Case) -> str:
    ran = listed(sorted(part), last="and") if part else "nothing"
    return f"it runs {ran}: what comes after {listed(case.give, last='and')}, with what that needs"


def bad_stand_in(draft: ResolvedSpec) -> Iterator[Problem]:
    """A stand-in gives to queues that its job writes to, and it is clear what to which."""
    for case, path in _cases(draft):
        for name, (key, values) in replaced_by(case, draft.spec.families).items():
            job = draft.jobs.get(name)
            if job is None or not values or name in draft.broken:
                continue
            queues = [wire.queue for wire in job.writes]
            at = (*path, "replace", key)
            if not queues:
                message, hint = f"{name} has no output to give this to", f"write {key}: null"
                yield draft.spec.problem(rules.BAD_STAND_IN, at, message, hint)
            elif isinstance(values, Mapping):
                for queue in values:
                    if queue not in queues:
                        message = f"{name} does not write to the queue {queue}"
                        hint = Guesses(queues).hint(queue) or f"it writes to {listed(queues)}"
                        here = (*at, queue)
                        rule = rules.BAD_STAND_IN
                        yield draft.spec.problem(rule, here, message, hint, key=True)
            elif len(queues) > 1 and any(wire.parameter is not None for wire in job.writes):
                message = f"{name} writes to {listed(queues, last='and')}: what goes where?"
                hint = f"write {{{queues[0]}: […], {queues[1]}: […]}}"
                yield draft.spec.problem(rules.BAD_STAND_IN, at, message, hint)


def bad_matcher(draft: ResolvedSpec) -> Iterator[Problem]:
    """The words with a $ in what is expected are known, and have what they take."""
    for case, path in _cases(draft):
        for at, value in _expected(case, (*path, "expect")):
            for flaw in flaws_of(value, at):
                yield draft.spec.problem(
                    rules.BAD_MATCHER, flaw.path, flaw.message, flaw.hint, key=True
                )


def _expected(case: Case, path: Path) -> Iterator[tuple[Path, object]]:
    for index, event in enumerate(case.expect.log):
        for field, value in event.items():
            yield (*path, "log", index, field), value
    for section, named in (("queues", case.expect.queues), ("dead", case.expect.dead)):
        for name, expected in named.items():
            at = (*path, section, name)
            if isinstance(expected, Expected):
                for key in _EXPECTATIONS:
                    yield (*at, key), getattr(expected, key)
            else:
                yield at, expected


def bad_items(draft: ResolvedSpec) -> Iterator[Problem]:
    """A queue is given its items in one way, and they can be had."""
    spec = draft.spec
    flaw_of = functools.cache(_flaw_of_file)
    for case, path in _cases(draft):
        for queue, given in case.give.items():
            if not isinstance(given, Given):
                continue
            at = (*path, "give", queue)
            ways = [key for key in ("items", "file", "target") if getattr(given, key) is not None]
            if len(ways) != 1:
                message = f"the items come from {listed(ways, last='and') if ways else 'nowhere'}"
                hint = "write one of items, file and target"
                yield spec.problem(rules.BAD_ITEMS, at, message, hint, key=True)
            elif given.file is not None:
                if error := flaw_of(spec.project_dir / given.file):
                    yield spec.problem(rules.BAD_ITEMS, (*at, "file"), str(error), error.hint)
            elif given.target is not None and (flaw := draft.targets.look_up(given.target).flaw):
                place = (*at, "target")
                yield spec.problem(flaw.rule, place, flaw.message, flaw.hint)


def _flaw_of_file(path: FilePath) -> ItemsFileError | None:
    try:
        read_items(path)
    except ItemsFileError as error:
        return error
    return None


def pointless_kill(draft: ResolvedSpec) -> Iterator[Problem]:
    """A worker that is killed is the user's code, and comes to items."""
    for case, path in _cases(draft):
        for index, kill in enumerate(case.kill):
            job, message = draft.jobs.get(kill.job), ""
            if kill.job in replaced_by(case, draft.spec.families):
                message = f"{kill.job} is replaced, so there is nobody to kill"
            elif job is not None and not (job.reads or job.writes):
                message = f"{kill.job} neither takes nor gives items"
            elif job is not None and job.runs_command:
                message = f"{kill.job} runs a command, which is not killed by a test"
            if message:
                at = (*path, "kill", index, "job")
                yield draft.spec.problem(
                    rules.POINTLESS_KILL, at, message, "kill a worker of another job"
                )


# Words with a `$` in expected values: they are known, and have what they take.


class MatcherFlaw(NamedTuple):
    """What is wrong with a `$` word at the end of `path`."""

    path: Path
    message: str
    hint: str


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else f"expected text, got {kind(value)}"


def _regex(value: Any) -> str:
    if isinstance(value, str):
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            return f"this is no regular expression: {error}"
    return _text(value)


def _number(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number else f"expected a number, got {kind(value)}"


def _map(value: Any) -> str:
    is_map = isinstance(value, Mapping)
    return "" if is_map else f"expected a map of attributes or keys, got {kind(value)}"


def _anything(_: Any) -> str:
    return ""


_TAKES: Mapping[str, Callable[[Any], str]] = {
    "$type": _text,
    "$where": _map,
    "$repr": _text,
    "$str": _text,
    "$regex": _regex,
    "$approx": _number,
    "$value": _anything,
}
"""The words, and what says why a value does not fit one."""


def _unknown(key: Any, path: Path) -> MatcherFlaw:
    if not str(key).startswith("$"):
        hint = "put keys of the item under $where; $value takes a map as it is"
        return MatcherFlaw(path, f"{show(key)} stands beside words with a $", hint)
    hint = did_you_mean(str(key), _TAKES) or f"the words are {listed(_TAKES, last='and')}"
    return MatcherFlaw(path, f"there is no word {key}", hint)


def flaws_of(value: Any, path: Path) -> Iterator[MatcherFlaw]:
    """Yield what is wrong with the `$` words in an expected value that stands at `path`."""
    if isinstance(value, Mapping):
        words = is_matcher(value)
        for key, inner in value.items():
            here = (*path, key)
            if words and key not in _TAKES:
                yield _unknown(key, here)
            elif words and (wrong := _TAKES[str(key)](inner)):
                yield MatcherFlaw(here, f"{key}: {wrong}", "")
            elif key != "$value":
                yield from flaws_of(inner, here)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from flaws_of(inner, (*path, index))


RULES = (unknown_name, not_in_case, bad_stand_in, bad_matcher, bad_items, pointless_kill)
