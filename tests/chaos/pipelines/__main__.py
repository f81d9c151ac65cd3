"""Random pipelines under kills: `python -m tests.chaos.pipelines --rounds 500 --seed 0`.

Every second round is durable; `--durable` makes all of them so. A line of JSON a round, with its
seed; the folder of a round that failed is kept and named, and so is the command that plays it
again: the same pipeline and blows, if not the same moments. At the end the counts of all rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .judge import judge
from .rounds import Plan, Round


def main() -> int:
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it for all
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and with us what we have begun
    base = Path(tempfile.mkdtemp(prefix="pipelines-"))
    totals: Counter[str] = Counter()
    failed: list[int] = []
    started = time.monotonic()
    for seed in range(options.seed, options.seed + options.rounds):
        if options.within_s and time.monotonic() - started > options.within_s:
            break
        counts = one(seed, base, durable=options.durable or bool(seed % 2))
        totals += counts
        failed += [seed] * counts["failed"]
    took = int(time.monotonic() - started)
    kept = {"failed": totals["failed"], "failed_seeds": failed, "s": took}
    print(json.dumps({"asked": options.rounds, **totals, **kept}))
    if not failed:
        shutil.rmtree(base)
    return 1 if failed or totals["rounds"] < options.rounds else 0


def one(seed: int, base: Path, *, durable: bool) -> Counter[str]:
    """Play a round and tell of it."""
    folder, began = base / str(seed), time.monotonic()
    played = Round(Plan.of(seed, durable=durable), folder)
    evidence = played.play()
    verdict, met = judge(evidence), played.met
    summary = evidence.summary or {"queues": {}}
    counts: Counter[str] = Counter(
        jobs=len(evidence.pipeline.jobs),
        items=sum(queue["put"] for queue in summary["queues"].values()),
        letters=len(evidence.letters),
        lost=verdict.lost,
        doubled=verdict.doubled,
        unexpected=verdict.unexpected,
        hung=int(evidence.exit_code is None),
        lives=met.life + 1,
        forced=met.forced,
        **met.signals,
        **{f"of_{blow}": n for blow, n in met.blows.items()},
    )
    told = {"seed": seed, "durable": durable, "end": evidence.end, **counts}
    took = round(time.monotonic() - began, 1)
    print(json.dumps({**told, "problems": verdict.problems, "s": took}), flush=True)
    if verdict.problems:
        again = f"--rounds 1 --seed {seed}" + (" --durable" if durable else "")
        print(f"kept: {folder}; again: python -m tests.chaos.pipelines {again}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    kinds = {"durable_rounds": int(durable), f"end_{evidence.end}": 1}
    return counts + Counter(rounds=1, failed=int(bool(verdict.problems)), **kinds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=500, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--durable", action="store_true", help="all rounds, not every second")
    parser.add_argument("--within-s", type=float, help="begin no round after so many seconds")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
