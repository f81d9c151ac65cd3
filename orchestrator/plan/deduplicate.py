"""Says a problem once that several jobs have, and names the jobs that have it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from orchestrator.errors import Problem

__all__ = ["told_once"]

_NAMED = 3


def told_once(
    problems: Iterable[Problem], families: Mapping[str, Collection[str]]
) -> list[Problem]:
    """Return problems in the order of the file; what several aliases repeat is said once.

    `families` are the jobs made of a matrix: what not all of them have names those that have it.
    """
    sizes = {name: len(made) for made in families.values() for name in made}
    by_place: dict[tuple[str, int, int, str], list[Problem]] = {}
    for problem in problems:
        place = problem.file, problem.line, problem.column, problem.message
        by_place.setdefault(place, []).append(problem)
    return [_named(by_place[place], sizes) for place in sorted(by_place)]


def _named(same: list[Problem], sizes: Mapping[str, int]) -> Problem:
    problem = same[-1]
    jobs = dict.fromkeys(job for each in same if (job := _job_of(each)) in sizes)
    if not jobs or len(jobs) == max(sizes[job] for job in jobs):
        return problem
    told = [job for job in jobs if job not in problem.message]
    if not told:
        return problem
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    names = f"job{'s' if len(told) > 1 else ''} {', '.join(told[:_NAMED])}{more}"
    return replace(problem, message=f"{problem.message} (in {names})")


def _job_of(problem: Problem) -> str:
    section, _, rest = problem.path.partition(".")
    return rest.partition(".")[0] if section == "jobs" else ""
