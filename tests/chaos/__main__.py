"""The long form: `python -m tests.chaos --rounds N [--kills K] [--seed S]`.

One line of JSON a round, with its seed; the folder of a round that failed is kept and named.
`--rounds 1 --seed S` plays one again: the same pipeline, if not the same moments.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .checker import judge
from .rounds import Plan, play


def main() -> int:
    options = _options()
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    totals: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(options.seed, options.seed + options.rounds):
        plan = Plan.of(seed, options.kills)
        folder = base / str(seed)
        history = play(plan, folder)
        verdict = judge(history)
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
    if not totals["failed"]:
        shutil.rmtree(base)
    return 1 if totals["failed"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--kills", type=int, default=100, help="at least, in each round")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    options = parser.parse_args()
    if options.rounds < 1 or options.kills < 1:
        parser.error("--rounds and --kills: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
