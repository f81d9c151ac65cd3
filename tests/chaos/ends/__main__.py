"""`python -m tests.chaos.ends --runs N [--jobs J] [--seed S]`: runs ended in all ways.

One line of JSON for each run that left anything, was late (it was still there after 2 s), did not
end, or ended with another exit code than its way has; then one line for each way, and one for all.
`--runs 1 --seed S` ends one again in the same way, if not at the very same moment.

On a machine with many times more to do than it has processors, late says little.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .runs import Plan, Verdict, play


def main() -> int:
    options = _options()
    base = Path(tempfile.mkdtemp(prefix="ends-"))
    started = time.monotonic()
    verdicts: list[Verdict] = []
    seeds = range(options.seed, options.seed + options.runs)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        plans = [Plan.of(seed) for seed in seeds]
        for verdict in pool.map(play, plans, [base] * len(plans)):
            verdicts.append(verdict)
            if verdict.problems:
                print(json.dumps(dataclasses.asdict(verdict)), flush=True)
            if len(verdicts) % 100 == 0:
                print(f"{len(verdicts)} of {len(seeds)}", file=sys.stderr, flush=True)
    shutil.rmtree(base)
    for way in dict.fromkeys(verdict.plan.way for verdict in verdicts):
        print(json.dumps({"way": way, **_sums([v for v in verdicts if v.plan.way == way])}))
    total = _sums(verdicts)
    print(json.dumps({"all": total, "s": int(time.monotonic() - started)}))
    return 1 if total["bad"] else 0


def _sums(verdicts: list[Verdict]) -> dict[str, object]:
    times = sorted(verdict.gone_s for verdict in verdicts)
    return {
        "runs": len(verdicts),
        "bad": sum(bool(verdict.problems) for verdict in verdicts),
        "left": sum(any(p.startswith("left") for p in v.problems) for v in verdicts),
        "late": sum(any(p.startswith("late") for p in v.problems) for v in verdicts),
        "early": sum(verdict.plan.early for verdict in verdicts),
        "processes": sum(verdict.processes for verdict in verdicts),
        "held": sum(verdict.held for verdict in verdicts),
        "gone_s": {"median": round(times[len(times) // 2], 3), "most": round(times[-1], 3)},
        "exit_codes": dict(Counter(verdict.exit_code for verdict in verdicts)),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    options = parser.parse_args()
    if options.runs < 1 or options.jobs < 1:
        parser.error("--runs and --jobs: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
