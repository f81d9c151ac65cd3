"""The long form: `python -m tests.fuzz --frames N [--seed S]`; prints what became of the frames."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter

from .quarter import judge, quarter

_FRAMES_A_RUN = 2000
ITEMS = 400


def fuzz(frames: int, seed: int) -> Counter[tuple[str, str]]:
    """Bring so many frames, in as many runs as that takes; raises at the first thing wrong."""
    verdicts: Counter[tuple[str, str]] = Counter()
    left = frames
    while left > 0:
        door = quarter(random.Random(seed), ITEMS)
        try:
            for _ in range(min(left, _FRAMES_A_RUN)):
                if not door.knock():
                    break
                left -= 1
            door.end()
            judge(door, ITEMS)
        except Exception:
            print(f"seed {seed} fails: python -m tests.fuzz --frames {frames} --seed {seed}")
            raise
        verdicts += door.verdicts
        verdicts["", "runs"] += 1
        seed += 1
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    options = parser.parse_args()
    started = time.perf_counter()
    verdicts = fuzz(options.frames, options.seed)
    took_s = time.perf_counter() - started
    for kind in sorted({kind for kind, _ in verdicts if kind}):
        told = {verdict: n for (of, verdict), n in verdicts.items() if of == kind}
        print(f"{kind:>12}: " + ", ".join(f"{n:,} {verdict}" for verdict, n in told.items()))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{options.frames:,} frames in {verdicts['', 'runs']:,} runs, {took_s:.0f} s: 0 crashes,"
        f" every honest worker's items exact; {verdicts['', 'commit refused']:,} commits refused;"
        f" at most {rss} MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
