"""Samples of whole runs: they add up to the summary, to lives, and outlive a kill."""

from __future__ import annotations

import itertools
import json
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from e2e_runs import Ran, kill_at_once

from orchestrator.core.samples import Sample
from orchestrator.runlog.samples import RunSamples, read_samples

CODE = """
import itertools, os, sys, time

def numbers(n=40):
    for i in range(n):
        time.sleep(0.002)
        yield i

def double(x):
    time.sleep(0.004)
    return 2 * x

def many(xs):
    return [x for x in xs]

def stream(xs):
    for x in xs:
        yield x

def by_hand(src, dst):
    for x in src:
        dst.put(x)

def put(dst):
    for i in range(40):
        dst.put(i)

def bad(x):
    if x % 8 == 3:
        raise ValueError(x)
    return x

def once(x):
    if x == 5 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
    return x

def end(x):
    pass
"""

SHAPES = {
    "item": "work: {target: t:double, input: a, output: b, workers: 2}",
    "batch": "work: {target: t:many, call: batch, batch: {size: 7, within: 10ms}, input: a,"
    " output: b}",
    "stream": "work: {target: t:stream, call: stream, input: a, output: b}",
    "handles": "work: {target: t:by_hand, input: {src: a}, output: {dst: b}}",
    "ordered": "work: {target: t:double, input: a, output: b, workers: 3, ordered: true}",
    "rate": "work: {target: t:double, input: a, output: b, rate: 200/s}",
    "skipped": "work: {target: t:bad, input: a, output: b, on_error: skip}",
    "retried": "work: {target: t:bad, input: a, output: b, on_error: dead_letter,"
    " retry: {attempts: 2, backoff: {initial: 10ms}}}",
    "killed": "work: {target: t:once, input: a, output: b, retry: {attempts: 2},"
    " restart: {max: 3}}",
    "recycled": "work: {target: t:double, input: a, output: b, recycle: {max_items: 10}}",
    "command": "work: {command: 'cat', input: a, output: b}",
}

SUMS = {
    "items_in": "items_in",
    "items_out": "items_out",
    "failed": "failed",
    "retried": "retried",
    "skipped": "skipped",
    "dead": "dead",
    "busy_s": "running_s",
    "waiting_input_s": "starved_s",
    "waiting_output_s": "blocked_s",
    "waiting_rate_s": "held_s",
    "waiting_end_s": "end_s",
    "short_batches": "short_batches",
    "waiting_within_s": "within_s",
}


def project(folder: Path, jobs: str, *, code: str = CODE, top: str = "") -> Path:
    (folder / "t.py").write_text(code)
    spec = folder / "jobs.yaml"
    queues = "queues: {a: {maxsize: 10}, b: {maxsize: 10}}"
    spec.write_text(f"version: 1\n{top}{queues}\njobs:\n{textwrap.indent(jobs, '  ')}\n")
    return spec


def whole(directory: Path) -> RunSamples:
    (life,) = read_samples(directory)
    return life


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_sample_adds_up_to_the_summary(
    mporch: Callable[..., Ran], tmp_path: Path, shape: str
) -> None:
    source, sink = "{target: t:numbers, output: a}", "{target: t:end, input: b}"
    ran = mporch(project(tmp_path, f"src: {source}\n{SHAPES[shape]}\nend: {sink}"))
    life = whole(ran.run_dir)
    last = life.samples[-1]
    assert last.last
    for wiring, job in zip(life.header.jobs, last.jobs, strict=True):
        summary = ran.summary["jobs"][wiring.name]
        assert {name: summary[name] for name in SUMS} == pytest.approx(
            {name: getattr(job, column) for name, column in SUMS.items()}, abs=1e-3
        )
        assert job.state == summary["status"]
    for queue, found in zip(life.header.queues, last.queues, strict=True):
        assert (found.put, found.done) == (
            ran.summary["queues"][queue.name]["put"],
            ran.summary["queues"][queue.name]["done"],
        )
        assert found.size == 0
    _grow(life.samples)


def _grow(samples: tuple[Sample, ...]) -> None:
    """No counter goes back, and no worker's times are longer than the run."""
    for before, after in itertools.pairwise(samples):
        for one, two in zip(before.jobs, after.jobs, strict=True):
            for name in (*SUMS.values(), "starting_s"):
                assert getattr(one, name) <= getattr(two, name) + 1e-6
        for old, new in zip(before.queues, after.queues, strict=True):
            assert (old.put, old.done) <= (new.put, new.done)
            assert old.area <= new.area
    for sample in samples:
        assert all(worker.life_s <= sample.t + 0.01 for worker in sample.workers)


def test_a_run_that_is_killed_has_figures_of_its_last_half_second(
    command: Path, in_folder: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """What its target prints is printed late: it has run for 0.8 s and more."""
    code = CODE + textwrap.dedent("""
        def late(x):
            if x == 20:
                time.sleep(0.8)
                print("now", flush=True)
                time.sleep(600)
            return x
    """)
    jobs = "src: {target: t:numbers, output: a}\nwork: {target: t:late, input: a}"
    project(tmp_path, jobs, code=code.replace("b: {maxsize: 10}", ""))
    spec = tmp_path / "jobs.yaml"
    spec.write_text(spec.read_text().replace(", b: {maxsize: 10}", ""))
    with psutil.Popen(
        [command, "run", "--run-dir", "kept"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert "now" in run.stdout.readline()
        kill_at_once(run)
    life = whole(tmp_path / "kept")
    newest = life.samples[-1]
    assert newest.t >= 0.8
    assert not newest.last
    worker = next(worker for worker in newest.workers if worker.name == "work-1")
    assert worker.running_s > 0.5
    assert life.header.jobs[1].reads == ("a",)
    shown = in_folder("show", "kept", "--format", "json")
    summary = json.loads(shown.stdout)
    assert (summary["status"], summary["exit_code"]) == ("killed", None)
    assert summary["jobs"]["work"]["items_in"] == newest.jobs[1].items_in > 0
    assert summary["queues"]["a"]["left"] == newest.queues[0].put - newest.queues[0].done
    told = in_folder("show", "kept").stdout
    assert " killed after " in told
    assert "the figures are those of 20" in told
    assert "mporch logs kept -n 20" in told


def test_the_slowest_items_are_known_with_their_times(
    mporch: Callable[..., Ran], tmp_path: Path
) -> None:
    code = CODE + "\ndef slow(x):\n    time.sleep(0.3 if x == 11 else 0)\n"
    jobs = "src: {target: t:numbers, output: a}\nwork: {target: t:slow, input: a}\n"
    spec = project(tmp_path, jobs, code=code)
    spec.write_text(spec.read_text().replace(", b: {maxsize: 10}", ""))
    ran = mporch(spec)
    service = whole(ran.run_dir).samples[-1].jobs[1].service
    slowest = ran.summary["jobs"]["work"]["slowest"]
    assert (slowest["item"], slowest["name"]) == ("a:12", "11")
    assert ran.summary["jobs"]["src"]["slowest"] is None
    assert service.items == 40
    assert sum(service.counts) == 40
    assert service.slowest[0].item == "a:12"
    assert service.slowest[0].name == "11"
    assert 0.3 <= service.slowest[0].seconds < 5.0
    assert service.slowest[0].n == 1
