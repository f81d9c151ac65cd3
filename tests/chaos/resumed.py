"""Durable runs whose orchestrator is killed: `python -m tests.chaos.resumed --kills N [--seed S]`.

One line of JSON a round, with its seed; the folder of a round that failed is kept and named.
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
from itertools import count
from pathlib import Path

from .resumed_checker import judge
from .resumed_rounds import Round
from .resumed_shapes import Shape


def main() -> int:
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it for all
    base = Path(tempfile.mkdtemp(prefix="resumed-"))
    totals: Counter[str] = Counter()
    started = time.monotonic()
    for seed in count(options.seed):
        wanted = min(options.a_round, options.kills - totals["kills"])
        late = options.within_s and time.monotonic() - started > options.within_s
        if wanted <= 0 or late:
            break
        totals += _one(seed, wanted, base / str(seed))
    took = int(time.monotonic() - started)
    print(json.dumps({**totals, "failed": totals["failed"], "s": took}))
    if not totals["failed"]:
        shutil.rmtree(base)
    return 1 if totals["failed"] or totals["kills"] < options.kills else 0


def _one(seed: int, wanted: int, folder: Path) -> Counter[str]:
    shape, began = Shape.of(seed), time.monotonic()
    played = Round(shape, folder, seed)
    history = played.play(wanted)
    verdict = judge(history)
    counts: Counter[str] = Counter(
        items=len(history.expected) + len(history.letters),
        letters=len(history.letters),
        lost=verdict.lost,
        doubled=verdict.doubled,
        unexpected=verdict.unexpected,
        kills=history.kills,
        at_work=history.at_work,
        before_the_guard=played.seen.early,
        **{f"of_{blow.value}": n for blow, n in played.seen.blows.items()},
    )
    told = {"seed": seed, "shape": repr(shape), **counts, "problems": verdict.problems}
    print(json.dumps({**told, "s": int(time.monotonic() - began)}), flush=True)
    if verdict.problems:
        print(f"kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return counts + Counter(rounds=1, failed=int(bool(verdict.problems)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="of orchestrators, in all")
    parser.add_argument("--a-round", type=int, default=10, help="kills in a round")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--within-s", type=float, help="begin no round after so many seconds")
    options = parser.parse_args()
    if options.kills < 1 or options.a_round < 1:
        parser.error("--kills and --a-round: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
