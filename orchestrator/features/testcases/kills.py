"""Kills of a test case, and the check that each happened: else the case tests nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.features.testcases.begun import read_begun
from orchestrator.features.testcases.reports import Failed
from orchestrator.plan.model import Plan
from orchestrator.spec.cases import Kill

__all__ = ["Kills", "in_words", "kills_of", "missed"]


@dataclass(frozen=True, kw_only=True)
class Kills:
    """What was to happen to a job at its n-th item, `wanted` times, and did so often.

    `begun` is with how many items the job has begun in all.
    """

    job: str
    at_item: int
    wanted: int
    happened: int
    begun: int


def kills_of(kills: Sequence[Kill], directory: Path) -> list[Kills]:
    """Return what has come of these in the run in `directory`.

    Raises RunDirectoryError.
    """
    wanted = Counter((kill.job, kill.at_item) for kill in kills)
    begun = {job: read_begun(directory, job) for job, _ in wanted}
    return [
        Kills(
            job=job,
            at_item=at_item,
            wanted=n,
            happened=min(n, begun[job].times(at_item)),
            begun=len(begun[job]),
        )
        for (job, at_item), n in wanted.items()
    ]


def in_words(kills: Sequence[Kills]) -> str:
    """Return a word on who was killed by the case; empty if nobody was."""
    happened: Counter[str] = Counter()
    for each in kills:
        happened[each.job] += each.happened
    told = [f"{_workers(n)} of {job}" for job, n in happened.items() if n]
    return f"the case itself has killed {', '.join(told)}" if told else ""


def _workers(n: int) -> str:
    return "a worker" if n == 1 else f"{n} workers"


def missed(kills: Sequence[Kills], plan: Plan) -> Iterator[Failed]:
    """Yield the kills that have not happened."""
    for each in kills:
        if each.happened == each.wanted:
            continue
        began = "began" if plan.jobs[each.job].reads else "gave"
        item = f"its {_ordinal(each.at_item)} item"
        if not each.happened:
            message = f"{each.job} never {began} {item}: nothing was killed"
            hint = f"it {began} {each.begun or 'none'}"
        else:
            message = f"{each.job} {began} {item} {_times(each.happened)}"
            message += f", and was to be killed at it {_times(each.wanted)}"
            hint = "an item comes again only as often as `retry` has attempts"
        yield Failed(about="kill", message=message, hint=hint)


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _ordinal(n: int) -> str:
    teens = range(11, 14)
    ending = "th" if n % 100 in teens else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
