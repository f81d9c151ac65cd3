"""The long form: `python -m tests.simulation --histories N [--seed S] [--durable]`.

The seed of each history that fails is printed; `--histories 1 --seed S` lives it again. With
`--durable` the orchestrator crashes as well, and the run is resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback

from .histories import durable_history, history


def main() -> int:
    options = _options()
    failures: list[int] = []
    steps, started, traces = 0, time.perf_counter(), hashlib.sha256()
    for seed in range(options.seed, options.seed + options.histories):
        world = durable_history(seed) if options.durable else history(seed)
        try:
            world.run()
        except Exception:
            traceback.print_exc(limit=-3)
            again = f"--histories 1 --seed {seed}{' --durable' * options.durable}"
            print(f"seed {seed} fails: python -m tests.simulation {again}")
            failures.append(seed)
            if not options.keep_going:
                break
        steps += world.steps
        traces.update(world.trace.encode())
    took_s = time.perf_counter() - started
    done = seed - options.seed + 1
    print(f"{done} histories, {steps} steps, {len(failures)} failures, {took_s:.1f} s", flush=True)
    print(f"trace {traces.hexdigest()}")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--durable", action="store_true", help="runs that crash and are resumed")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    options = parser.parse_args()
    if options.histories < 1:
        parser.error("--histories: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
