"""The judge of a durable round: what the source made is in the sinks' files once, or a letter.

It believes no counter of mporch. A round in which too little was killed proves nothing, and fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LEAST_DELIVERED = 20
LEAST_AT_WORK = 0.25
"""Of the kills, this part must have hit a process that had come to work."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What was seen from outside.

    `expected` are the items that each sink is to have, `letters` those that are to be dead;
    `delivered` and `dead` are what the files tell. `kills` counts those of the orchestrator,
    `at_work` those of them that came after work had been done since it was started. `complaints`
    are what was wrong on the way.
    """

    expected: set[int]
    letters: set[int]
    delivered: Mapping[str, Iterable[int]]
    dead: Iterable[int]
    kills: int
    wanted: int
    at_work: int
    exit_code: int | None
    complaints: tuple[str, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a round; `problems` is empty when nothing is."""

    lost: int
    doubled: int
    unexpected: int
    problems: tuple[str, ...]


def judge(history: History) -> Verdict:
    """Each sink has each item once, each letter is there once, and nothing else is."""
    wrong: Counter[str] = Counter()
    for items in history.delivered.values():
        wrong += _differences(history.expected, items)
    wrong += _differences(history.letters, history.dead)
    problems = [f"{n} {what}" for what, n in wrong.items()]
    problems += history.complaints
    problems += _of_the_round(history)
    return Verdict(
        lost=wrong["lost"],
        doubled=wrong["doubled"],
        unexpected=wrong["unexpected"],
        problems=tuple(problems),
    )


def _differences(expected: set[int], found: Iterable[int]) -> Counter[str]:
    counts = Counter(found)
    return +Counter(
        lost=len(expected - set(counts)),
        doubled=sum(n - 1 for n in counts.values()),
        unexpected=len(set(counts) - expected),
    )


def _of_the_round(history: History) -> list[str]:
    problems = []
    wanted = 3 if history.letters else 0
    if history.exit_code is None:
        problems.append("it hung")
    elif history.exit_code != wanted:
        problems.append(f"exit code {history.exit_code} instead of {wanted}")
    if history.kills < history.wanted:
        problems.append(f"only {history.kills} of {history.wanted} killed: it proves nothing")
    if history.at_work < history.kills * LEAST_AT_WORK:
        problems.append(f"only {history.at_work} killed at work: it proves nothing")
    if len(history.expected) < LEAST_DELIVERED:
        problems.append(f"only {len(history.expected)} items: it proves nothing")
    return problems
