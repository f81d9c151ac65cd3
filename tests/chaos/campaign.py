"""Conducted rounds until they prove what was asked for, and the judgement of all of them."""

from __future__ import annotations

import dataclasses
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .conducted import Plan, play
from .conducted_checker import Verdict, judge
from .points import Score

_KILLS_A_ROUND = 500
_KILLS_A_SLOW_ROUND = 160
_KILLS_A_SOURCE_ROUND = 150
_ITEMS_A_ROUND = {10: 10_000, 50: 40_000, 400: 120_000, 2000: 200_000}
"""By maxsize: what takes about as long as the kills, of a million in all."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What proves enough: kills, torn frames and items in all; `quota` kills at each point."""

    kills: int
    torn: int
    quota: int
    items: int


@dataclass(kw_only=True)
class Total:
    """What the rounds have come to; `wrong` counts what the verdicts do."""

    score: Score
    rounds: int = 0
    made: int = 0
    wrong: Counter[str] = dataclasses.field(default_factory=Counter)
    failed: list[str] = dataclasses.field(default_factory=list)

    def add(self, plan: Plan, made: int, verdict: Verdict) -> None:
        """One more round."""
        self.rounds += 1
        self.made += made
        self.wrong.update({k: v for k, v in dataclasses.asdict(verdict).items() if k != "problems"})
        self.failed += [f"seed {plan.seed}: {problem}" for problem in verdict.problems]

    def shortcomings(self, wanted: Wanted) -> list[str]:
        """Why it proves too little; nothing if it proves enough."""
        had = {
            "killed": (self.score.kills, wanted.kills),
            "torn": (self.score.torn, wanted.torn),
            "made": (self.made, wanted.items),
        }
        short = [f"only {n} of {most} {what}" for what, (n, most) in had.items() if n < most]
        return short + [f"{n} missing at {where}" for where, n in self.score.missing().items()]


def campaign(wanted: Wanted, *, seed: int, base: Path, within_s: float) -> Iterator[Total]:
    """Play rounds from this seed on; yields the total after each. Keeps the folders of bad ones."""
    total = Total(score=Score(wanted.quota, random.Random(seed)))
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and total.shortcomings(wanted):
        plan = _plan(seed, wanted)
        seed += 1
        if plan.dying and not total.score.missing(plan.points):
            continue  # it would prove nothing new
        folder = base / str(plan.seed)
        history = play(plan, folder, total.score)
        verdict = judge(history)
        total.add(plan, len(history.made), verdict)
        if verdict.good:
            shutil.rmtree(folder)
        else:
            print(f"kept: {folder} ({plan}): {', '.join(verdict.problems)}", file=sys.stderr)
        yield total


def _plan(seed: int, wanted: Wanted) -> Plan:
    plan = Plan.of(seed, items=1000, kills=_KILLS_A_ROUND)
    if plan.slow:
        return dataclasses.replace(plan, kills=_KILLS_A_SLOW_ROUND)
    if plan.dying:  # each source begins anew: the items must be few
        return dataclasses.replace(plan, kills=_KILLS_A_SOURCE_ROUND)
    return dataclasses.replace(plan, items=_ITEMS_A_ROUND[plan.maxsize] * wanted.items // 10**6)
