"""Whatever happens to whom, whenever: the run ends, says how, and accounts for every item."""

import contextlib
import os
import random
import signal
import time

import psutil
import pytest
from test_shapes import EVERY_SHAPE, SHAPES_CODE

DEFAULTS = "defaults: {{terminate: {{grace: 1s}}, on_failure: {policy}, "
OF_MPORCH_OR_ASKED_FOR = {0, 1, 130, 143, -signal.SIGTERM, -signal.SIGINT}
"""A signal that comes before or after the run ends the command as any other."""


@pytest.mark.parametrize("seed", range(4))
def test_a_run_with_accidents_ends_and_its_ledger_balances(begin, seed):
    chance = random.Random(seed)
    policy = chance.choice(["stop", "drain", "continue"])
    method = chance.choice(["fork", "forkserver"])
    spec = EVERY_SHAPE.format(method=method).replace("defaults: {", DEFAULTS.format(policy=policy))
    run = begin(spec, slowed(SHAPES_CODE))
    run.log.wait("worker.ready")
    assert run.processes(), "nothing is there for an accident to happen to"
    for _ in range(3):
        time.sleep(chance.random() * 0.3)  # any moment will do
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            chance.choice([kill_a_worker, kill_a_worker, stop_for_a_while, tell])(run, chance)
    ended = run.end()
    assert ended.exit_code in OF_MPORCH_OR_ASKED_FOR
    assert "bug of mporch" not in ended.stderr
    for queue in ended.summary["queues"]:
        ledger = ended.ledger(queue)
        assert ended.exit_code or ledger.get("put", 0) == ledger.get("done", 0)


def slowed(code):
    return "import time\n" + code.replace("def same(n):\n", "def same(n):\n    time.sleep(0.005)\n")


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
    time.sleep(chance.random() * 0.5)
    process.resume()


def tell(run, chance):
    run.guard.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
