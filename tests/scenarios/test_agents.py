"""Agents of a run are killed, stopped and woken: every item arrives once, and nothing is left."""

import contextlib
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from life_runs import until

N = 400
SPEC = """
queues: {todo: 20, done: 20}
jobs:
  numbers: {target: "t:numbers", output: todo, restart: {max: 5, replay: skip}}
  work: {target: "t:work", input: todo, output: done, workers: 2}
  sink: {target: "t:sink", input: done}
"""
CODE = f"""
    import time
    def numbers():
        yield from range({N})
    def work(n):
        time.sleep(0.005)
        return n
    def sink(n):
        with open("got", "a") as file:
            file.write(f"{{n}}\\n")
        if n % 50 == 0:
            print("got", n)
"""
SLOW = CODE.replace("0.005", "0.03")
PROGRAM = (sys.executable, str(Path(__file__).with_name("os_several_agents.py")))
PATIENT, IMPATIENT = (*PROGRAM, "20"), (*PROGRAM, "2")


@pytest.fixture(autouse=True)
def on_agents(on, monkeypatch):
    monkeypatch.setenv("MPORCH_ON", "agent")


def agents(life):
    """The agents' processes as pairs of guard and agent, the oldest first."""
    named = [p for p in life.processes() if "orchestrator.engine.node" in p.cmdline()]
    pids = {p.pid for p in named}
    pairs = [(psutil.Process(p.ppid()), p) for p in named if p.ppid() in pids]
    return sorted(pairs, key=lambda pair: pair[0].create_time())


def agent_of(life, worker):
    """The guard and the agent of a worker."""
    above = {p.pid for p in psutil.Process(life.pid(worker)).parents()}
    [pair] = [pair for pair in agents(life) if pair[1].pid in above]
    return pair


def exact(life):
    """Each number came to the sink, and counts once; nobody was charged."""
    ended = life.end()
    assert ended.exit_code == 0, ended.stderr
    got = (life.folder / "got").read_text().split()
    assert set(map(int, got)) == set(range(N))
    assert ended.ledger("todo") == ended.ledger("done") == {"put": N, "done": N}
    assert not ended.log.having("item.retried")
    [started] = ended.log.having("run.started")
    assert started["on"] == "agent"
    return ended


def test_an_agent_that_is_killed_costs_no_item(begin):
    life = begin(SPEC, CODE, command=PATIENT)
    life.said("got 50")
    _, agent = agent_of(life, "work-1")
    agent.kill()
    ended = exact(life)
    assert " was ended by SIGKILL" in ended.stderr


def test_an_agent_that_is_killed_before_its_workers_are_there_costs_no_restart(begin):
    life = begin(SPEC.replace("workers: 2", "workers: 8, restart: {max: 0}"), CODE, command=PATIENT)
    *_, (_, agent) = until(lambda: agents(life), "an agent")
    agent.kill()
    exact(life)


def test_an_agent_whose_guard_is_killed_costs_no_item(begin):
    life = begin(SPEC, CODE, command=PATIENT)
    life.said("got 50")
    guard, _ = agent_of(life, "work-1")
    guard.kill()
    exact(life)


def test_an_agent_and_its_guard_that_are_killed_at_once_cost_no_item(begin):
    life = begin(SPEC, CODE, command=PATIENT)
    life.said("got 50")
    pair = agent_of(life, "work-1")
    for process in pair:
        process.suspend()  # neither can do anything about the other's death
    for process in pair:
        process.kill()
    exact(life)


def test_agents_that_are_asked_to_end_are_replaced(begin):
    life = begin(SPEC, CODE, command=PATIENT)
    life.said("got 50")
    for guard, _ in agents(life):
        guard.terminate()
    exact(life)


@pytest.mark.parametrize("whole", [False, True], ids=["the agent", "its guard, too"])
def test_an_agent_that_is_stopped_is_lost_and_a_zombie_when_it_wakes(begin, whole):
    life = begin(SPEC, SLOW, command=IMPATIENT)
    life.said("got 50")
    guard, agent = agent_of(life, "work-1")
    pid = life.pid("work-1")
    for process in (guard, agent) if whole else (agent,):
        process.suspend()
    life.log.wait("worker.replaced", worker="work-1")
    assert [r for r in life.log.having("warning") if "said nothing for 2 s" in r["msg"]]
    if whole:
        for process in (agent, guard):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    until(lambda: not agent.is_running(), "the zombie's own end")
    until(lambda: not psutil.pid_exists(pid), "the end of its workers")
    exact(life)


def test_an_agent_that_is_stopped_for_a_moment_goes_on(begin):
    life = begin(SPEC, CODE, command=PATIENT)
    life.said("got 50")
    _, agent = agent_of(life, "work-1")
    agent.suspend()
    until(lambda: agent.status() == psutil.STATUS_STOPPED, "the stop")
    agent.resume()
    ended = exact(life)
    assert not ended.log.having("worker.replaced")


@pytest.mark.parametrize("which", ["guard", "orchestrator"])
def test_agents_end_with_their_orchestrator(begin, which):
    life = begin(SPEC, SLOW, command=PATIENT)
    life.said("got 0")
    pid = life.guard.pid if which == "guard" else life.orchestrator
    psutil.Process(pid).send_signal(signal.SIGKILL)
    life.guard.wait(10)
    until(lambda: not life.processes(), "the end of all", 10)


def test_both_killed_at_once_leave_nothing(begin):
    life = begin(SPEC, SLOW, command=PATIENT)
    life.said("got 0")
    for pid in (life.guard.pid, life.orchestrator):
        psutil.Process(pid).send_signal(signal.SIGKILL)
    life.guard.wait(10)
    until(lambda: not life.processes(), "the end of all", 10)


def hurt(chance, life):
    """Do something to an agent, its guard or one of its workers; return what."""
    guard, agent = chance.choice(agents(life))
    what = chance.choice(["agent", "guard", "both", "end", "stop", "worker"])
    if what in {"both", "stop"}:
        guard.suspend()
        agent.suspend()
    if what in {"agent", "both"}:
        agent.kill()
    if what in {"guard", "both"}:
        guard.kill()
    if what == "end":
        guard.terminate()
    if what == "stop":
        agent.resume()
        guard.resume()
    if what == "worker":
        chance.choice([p for p in agent.children(recursive=True) if not p.children()]).kill()
    return what


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 20))]
)
def test_whatever_is_killed_each_item_arrives_and_counts_once(begin, seed):
    spec = SPEC.replace("max: 5", "max: 50").replace(
        "workers: 2}", "workers: 2, retry: {attempts: 9}, restart: {max: 50}}"
    )
    spec = spec.replace("input: done}", "input: done, retry: {attempts: 9}}")
    life = begin(spec, SLOW.replace("0.03", "0.02"), command=PATIENT)
    life.said("got 0")
    chance, done = random.Random(seed), []
    while life.guard.poll() is None and len(done) < 6:
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            done.append(hurt(chance, life))
        time.sleep(chance.uniform(0.2, 1.0))
    ended = life.end()
    assert ended.exit_code == 0, (done, ended.stderr)
    assert set(map(int, (life.folder / "got").read_text().split())) == set(range(N)), done
    assert ended.ledger("todo") == ended.ledger("done") == {"put": N, "done": N}, done
