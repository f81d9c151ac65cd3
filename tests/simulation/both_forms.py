"""Histories that the pure core lives, and whose events the compiled one answers in the same way.

    python -m tests.simulation.both_forms --compiled FOLDER --histories 10000

FOLDER has the compiled `orchestrator`, such as the site-packages of an environment; the tree is
pure. Of each history the commands and the records of every event are compared, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.compiled import form
from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.run import Run

from .durable import DurableWorld
from .histories import durable_history, history, is_limited
from .ledger import Violation
from .parts import states
from .runs import RunWorld
from .world import World

ROOT = Path(__file__).parents[2]
Step = tuple[str, Any]
"""A core is made (`states`, `plan`, `run`), or handles an event at a time (`handle`)."""


class Tape:
    """What one history asked of the core, and what that answered."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.answers = hashlib.sha256()


def digest(core: Any, event: Any, now: float, answers: Any) -> Any:
    """Handle an event; the commands are noted, and the records that it leads to are after it."""
    orders = core.handle(event, now)
    answers.update(repr(orders).encode())
    return orders


def make(step: Step) -> Any:
    """A core as a step says."""
    what, given = step
    if what == "states":
        return Broker(*states(given))
    if what == "run":
        return Run(given)
    plan, resumption = given
    if resumption is not None:
        stored, chunks, packed = resumption
        resumption = Resumption(stored=stored, load=chunks.__getitem__, packed=packed)
    return Broker.of_plan(plan, resumption)


class Taped:
    """A core that notes what is asked of it; all else is that of the one below."""

    def __init__(self, core: Any, tape: Tape) -> None:
        self.__dict__.update(_core=core, _tape=tape)

    def handle(self, event: Any, now: float) -> Any:
        tape = self._tape
        tape.steps.append(("handle", pickle.dumps((event, now))))
        return digest(self._core, event, now, tape.answers)

    def take_entry(self) -> Any:
        entry = self._core.take_entry()
        self._tape.steps.append(("entry", None))
        self._tape.answers.update(repr(entry).encode())
        return entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._core, name, value)


def world_of(seed: int, tape: Tape) -> World | RunWorld:
    """The history of a seed: a broker's, a durable run's, or a whole run's, in turn."""

    def broker(world: World, build: Any) -> Any:
        tape.steps.append(("states", pickle.dumps(world.topology)))
        return Taped(build(*states(world.topology)), tape)

    def durable(world: DurableWorld, _build: Any) -> Any:
        resumption = world._resumption
        given = None
        if resumption is not None:
            chunks = {number: resumption.load(number) for number in world.disk.now.chunks}
            given = (resumption.stored, chunks, resumption.packed)
        tape.steps.append(("plan", pickle.dumps((world.plan, given))))
        return Taped(Broker.of_plan(world.plan, resumption), tape)

    class OfRun(RunWorld):
        @property
        def run_(self) -> Any:
            return self._taped

        @run_.setter
        def run_(self, core: Run) -> None:
            tape.steps.append(("run", pickle.dumps(self.plan)))
            self._taped = Taped(core, tape)

    World._broker = broker  # type: ignore[method-assign]
    DurableWorld._broker = durable  # type: ignore[method-assign]
    if seed % 3 == 0:
        return history(seed)
    if seed % 3 == 1:
        return durable_history(seed)
    return OfRun(seed, small=bool(seed % 2), hasty=seed % 5 == 2, limited=is_limited(seed, 8))


def replay(steps: Iterator[Step]) -> str:
    """The digest of what the core of this process answers."""
    core, answers = None, hashlib.sha256()
    for what, given in steps:
        if what == "handle":
            event, now = pickle.loads(given)
            digest(core, event, now, answers)
        elif what == "entry":
            answers.update(repr(core.take_entry()).encode())
        else:
            core = make((what, pickle.loads(given)))
    return answers.hexdigest()


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Called in the compiled process: replay histories, until there are no more."""
    assert form() == "full", form()
    while True:
        try:
            steps = pickle.load(asked)
        except EOFError:
            return
        try:
            answer = replay(iter(steps))
        except Exception as error:  # which the pure core has not raised
            answer = f"raises {error!r}"
        pickle.dump(answer, told)
        told.flush()


SERVE = (
    "import sys; sys.path[:] = [sys.argv[1], *sys.path[1:], sys.argv[2]];"
    "from tests.simulation.both_forms import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)
_servers: list[subprocess.Popen[bytes]] = []


def compare(seed: int, folder: str) -> tuple[int, int, str]:
    """The seed, the number of its steps, and what is different; or empty."""
    if not _servers:
        command = [sys.executable, "-c", SERVE, folder, str(ROOT)]
        _servers.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        )
    server, tape = _servers[0], Tape()
    try:
        world_of(seed, tape).run()
    except Violation as error:
        return seed, len(tape.steps), f"seed {seed}: the pure core is wrong: {error}"
    assert server.stdin is not None and server.stdout is not None
    pickle.dump(tape.steps, server.stdin)
    server.stdin.flush()
    answer = pickle.load(server.stdout)
    if answer == tape.answers.hexdigest():
        return seed, len(tape.steps), ""
    said = answer if answer.startswith("raises") else "answers otherwise"
    return seed, len(tape.steps), f"seed {seed}: the compiled core {said}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--compiled", required=True, help="the folder that has the compiled package"
    )
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    if form() != "pure":
        parser.error("the tree is compiled: its histories would be no measure")
    done = steps = different = 0
    began = time.perf_counter()
    seeds = range(options.seed, options.seed + options.histories)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        folder = str(Path(options.compiled).resolve())
        for _, n, problem in pool.map(partial(compare, folder=folder), seeds, chunksize=20):
            done, steps, different = done + 1, steps + n, different + bool(problem)
            if problem:
                print(problem)
    took_s = time.perf_counter() - began
    print(f"{done} histories, {steps} steps, {different} different, {took_s:.1f} s")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
