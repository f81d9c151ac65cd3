"""The long form: `python -m tests.chaos`. All of it takes some twenty minutes on two cores.

First every worker of a chain is told at which point of its protocol to die, round after round,
until there were as many kills, torn frames and items as asked for, and the quota at each point of
each role. Then workers of other pipelines are killed at random moments, `--rounds` times.

A line of JSON a round, one for each part, and exit code 1 if anything was lost, doubled or
unexpected, or if it proves too little. The folder of a round that failed is kept and named.
`--rounds 1 --seed S` and no `--kills` plays a random one again: the same pipeline, if not the same
moments.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import checker, rounds
from .campaign import Total, Wanted, campaign
from .points import Score

_WITHIN_S = 3300.0


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and with us what we have begun
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    good = [_conducted(options, base)] if options.kills else []
    good += [_random(options, base)] if options.rounds else []
    if all(good):
        shutil.rmtree(base)
    return 0 if all(good) else 1


def _conducted(options: argparse.Namespace, base: Path) -> bool:
    wanted = Wanted(
        kills=options.kills, torn=options.torn, quota=options.quota, items=options.items
    )
    total = Total(score=Score(0, None))
    started = time.monotonic()
    folder = base / "conducted"
    for total in campaign(wanted, seed=options.seed, base=folder, within_s=_WITHIN_S):
        print(json.dumps(_told(total, started)), flush=True)
    problems = total.failed + total.shortcomings(wanted)
    print(
        json.dumps(
            {**_told(total, started), "points": total.score.by_point(), "problems": problems}
        )
    )
    return not problems


def _told(total: Total, started: float) -> dict[str, int]:
    return {
        "rounds": total.rounds,
        "killed": total.score.kills,
        "torn": total.score.torn,
        "made": total.made,
        "missing": sum(total.score.missing().values()),
        **total.wrong,
        "s": int(time.monotonic() - started),
    }


def _random(options: argparse.Namespace, base: Path) -> bool:
    totals: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(options.seed, options.seed + options.rounds):
        plan = rounds.Plan.of(seed, options.kills_a_round)
        folder = base / "random" / str(seed)
        history = rounds.play(plan, folder)
        verdict = checker.judge(history)
        told = {
            "seed": seed,
            "made": len(history.made),
            "delivered": len(history.delivered),
            "dead": len(history.dead_inputs) + len(history.dead_names),
            "killed": history.killed,
            "in_the_midst": history.in_the_midst,
            **{k: v for k, v in dataclasses.asdict(verdict).items() if k != "problems"},
        }
        totals.update({k: v for k, v in told.items() if k != "seed"}, failed=not verdict.good)
        print(json.dumps({**told, "problems": verdict.problems}), flush=True)
        if verdict.good:
            shutil.rmtree(folder)
        else:
            print(f"kept: {folder} ({plan})", file=sys.stderr)
    print(json.dumps({"rounds": options.rounds, **totals, "s": int(time.monotonic() - started)}))
    return not totals["failed"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kills", type=int, default=10_000, help="where they are told to; 0: none (%(default)s)")
    add("--torn", type=int, default=500, help="torn frames among them (%(default)s)")
    add("--quota", type=int, default=100, help="kills at each point and role (%(default)s)")
    add("--items", type=int, default=1_000_000, help="that the source makes (%(default)s)")
    add("--rounds", type=int, default=20, help="with kills at random; 0: none (%(default)s)")
    add("--kills-a-round", type=int, default=100, help="at random (%(default)s)")
    add("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    if min(options.kills, options.torn, options.quota, options.items, options.rounds) < 0:
        parser.error("a number must not be negative")
    if options.kills_a_round < 1:
        parser.error("--kills-a-round: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
