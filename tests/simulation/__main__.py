"""The long form: `python -m tests.simulation --histories N [--seed S] [--processes P]`.

The seed of each history that fails is printed; `--histories 1 --seed S` lives it again. With
`--durable` the orchestrator crashes as well, and the run is resumed; `--runs` are whole runs, with
the supervisor. How many processes live them changes no history.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from .histories import durable_history, history, is_limited
from .runs import RunWorld
from .world import World


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A history as it was lived; `problem` is the traceback of what it found."""

    seed: int
    steps: int
    trace: str
    problem: str


def live(seed: int, *, durable: bool, runs: bool) -> Lived:
    """Live one history."""
    world: World | RunWorld
    if runs:
        limited = is_limited(seed, 8)
        world = RunWorld(seed, small=bool(seed % 2), hasty=seed % 3 == 2, limited=limited)
    else:
        world = durable_history(seed) if durable else history(seed)
    problem = ""
    try:
        world.run()
    except Exception:
        problem = traceback.format_exc(limit=-3)
    return Lived(seed=seed, steps=world.steps, trace=world.trace, problem=problem)


def main() -> int:
    options = _options()
    started, traces = time.perf_counter(), hashlib.sha256()
    done = steps = failures = 0
    kind = " --durable" * options.durable + " --runs" * options.runs
    seeds = range(options.seed, options.seed + options.histories)
    with ProcessPoolExecutor(options.processes) as pool:
        for lived in pool.map(
            partial(live, durable=options.durable, runs=options.runs), seeds, chunksize=20
        ):
            done, steps = done + 1, steps + lived.steps
            traces.update(lived.trace.encode())
            if lived.problem:
                failures += 1
                again = f"--histories 1 --seed {lived.seed}{kind}"
                print(f"{lived.problem}seed {lived.seed} fails: python -m tests.simulation {again}")
            late = options.within_s and time.perf_counter() - started > options.within_s
            if late or (lived.problem and not options.keep_going):
                pool.shutdown(cancel_futures=True)
                break
    took_s = time.perf_counter() - started
    print(f"{done} histories, {steps} steps, {failures} failures, {took_s:.1f} s", flush=True)
    print(f"trace {traces.hexdigest()}")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--durable", action="store_true", help="runs that crash and are resumed")
    parser.add_argument("--runs", action="store_true", help="whole runs, with the supervisor")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--within-s", type=float, help="end after so many seconds")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if min(options.histories, options.processes) < 1:
        parser.error("--histories, --processes: at least one")
    return options


if __name__ == "__main__":
    sys.exit(main())
