"""The long form: `python -m tests.simulation --histories N [--seed S]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from .histories import history


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--keep-going", action="store_true", help="do not stop at the first failure"
    )
    options = parser.parse_args()
    failures: list[int] = []
    events, started = 0, time.perf_counter()
    for seed in range(options.seed, options.seed + options.histories):
        world = history(seed)
        try:
            world.run()
        except Exception:
            traceback.print_exc(limit=-3)
            print(
                f"seed {seed} fails; again: python -m tests.simulation --histories 1 --seed {seed}"
            )
            failures.append(seed)
            if not options.keep_going:
                break
        events += world.steps
    took_s = time.perf_counter() - started
    done = seed - options.seed + 1
    print(f"{done} histories, {events} steps, {len(failures)} failures, {took_s:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
