"""Whatever happens to whom, whenever: the run ends, says how, and accounts for every item."""

import contextlib
import os
import random
import signal
import time

import psutil
import pytest
from life_runs import until
from test_shapes import EVERY_SHAPE, SHAPES_CODE

DEFAULTS = "defaults: {{terminate: {{grace: 1s}}, on_failure: {policy}, "
ITEMS = 200
"""That the job `copy` takes."""

OF_MPORCH_OR_ASKED_FOR = {0, 1, 130, 143, -signal.SIGTERM, -signal.SIGINT}
"""A signal that comes before or after the run ends the command as any other."""


@pytest.mark.parametrize("seed", range(4))
def test_a_run_with_accidents_ends_and_its_ledger_balances(begin, seed):
    chance = random.Random(seed)
    policy = chance.choice(["stop", "drain", "continue"])
    method = chance.choice(["fork", "forkserver"])
    spec = EVERY_SHAPE.format(method=method).replace("defaults: {", DEFAULTS.format(policy=policy))
    run = begin(spec, slowed(SHAPES_CODE))
    for moment in sorted(chance.choices(range(ITEMS), k=3)):
        until(lambda moment=moment: taken(run) >= moment or run.guard.poll() is not None, "items")
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            chance.choice([kill_a_worker, kill_a_worker, stop_for_a_while, tell])(run, chance)
    ended = run.end()
    assert ended.exit_code in OF_MPORCH_OR_ASKED_FOR
    assert "bug of mporch" not in ended.stderr
    for queue in ended.summary["queues"]:
        ledger = ended.ledger(queue)
        assert ended.exit_code or ledger.get("put", 0) == ledger.get("done", 0)


def slowed(code):
    """Make the job `copy` slow, so that most moments are in the midst of it; count its items."""
    head = "import os, time\nTAKEN = os.open('taken', os.O_CREAT | os.O_APPEND | os.O_WRONLY)\n"
    slow = "def same(n):\n    time.sleep(0.005)\n    os.write(TAKEN, b'.')\n"
    return head + code.replace("def same(n):\n", slow)


def taken(run):
    """How many items the job `copy` has taken so far."""
    counted = run.folder / "taken"
    return counted.stat().st_size if counted.exists() else 0


def kill_a_worker(run, chance):
    ended = {record["worker"] for record in run.log.having("worker.ended")}
    alive = [r["pid"] for r in run.log.having("worker.started") if r["worker"] not in ended]
    if alive:
        os.kill(chance.choice(alive), chance.choice([signal.SIGKILL, signal.SIGTERM]))


def stop_for_a_while(run, chance):
    if not (there := run.processes()):
        return  # an earlier accident has ended the run
    process = chance.choice(there)
    process.suspend()
    time.sleep(chance.random() * 0.5)  # how long it is stopped, which is all there is to it
    process.resume()


def tell(run, chance):
    run.guard.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
