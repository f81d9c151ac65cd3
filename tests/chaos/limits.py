"""Runs whose limit is known: `python -m tests.chaos.limits [--times N] [--load N] [SHAPE…]`.

Each shape is run N times, four at a time; with `--load` so many processes keep the processors busy
meanwhile. What `summary.json` says is compared with what is known, and with the samples: the reason
is `processors` exactly if they say that the machine was busy. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.samples import SAMPLE_EVERY_S, Sample
from orchestrator.runlog.samples import read_samples

__all__ = ["SHAPES", "Shape", "wrong"]

_LONGEST_S = 60
_AT_ONCE = 4
_SPENT = 0.95
_SLACK = 0.03
_MAY_BE_SPENT = {"busy", "starting", "straggler"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A pipeline, how it ends, and what limits it: jobs with their reasons, in order.

    Of `also` any may be named beside them. `any_order`: as long as all are named. It is
    interrupted when it has run for `interrupt_s`.
    """

    spec: str
    limits: tuple[tuple[str, str], ...]
    also: tuple[tuple[str, str], ...] = ()
    any_order: bool = False
    exit_code: int = 0
    interrupt_s: float | None = None


def _three(mid: str, *, source: str = "numbers", args: str = "n: 50", end: str = "0.0") -> str:
    return f"""
queues: {{q: 4, r: 4}}
jobs:
  src: {{target: "t:{source}", kwargs: {{{args}}}, output: q}}
  mid: {{{mid}}}
  end: {{target: "t:work", kwargs: {{each_s: {end}}}, input: r}}
"""


_WORK = 'target: "t:work", input: q, output: r'
_SLOW = f"{_WORK}, kwargs: {{each_s: 0.03}}"
_BUSY = (("mid", "busy"),)

SHAPES = {
    "source": Shape(
        spec=_three(_WORK, args="n: 60, each_s: 0.03"),
        limits=(("src", "busy"),),
    ),
    "middle": Shape(spec=_three(f"{_SLOW}, workers: 2", args="n: 80"), limits=_BUSY),
    "sink": Shape(spec=_three(_WORK, end="0.03"), limits=(("end", "busy"),)),
    "fan-out": Shape(
        spec="""
queues: {l: 4, r: 4}
jobs:
  src: {target: "t:numbers", kwargs: {n: 50}, output: [l, r]}
  left: {target: "t:work", input: l}
  right: {target: "t:work", kwargs: {each_s: 0.03}, input: r}
""",
        limits=(("right", "busy"),),
    ),
    "fan-in": Shape(
        spec="""
queues: {q: 4}
jobs:
  one: {target: "t:numbers", kwargs: {n: 25}, output: q}
  two: {target: "t:numbers", kwargs: {n: 25}, output: q}
  end: {target: "t:work", kwargs: {each_s: 0.03}, input: q}
""",
        limits=(("end", "busy"),),
    ),
    "handles": Shape(
        spec=_three(
            'target: "t:relay", input: {source: q}, output: {sink: r}, kwargs: {each_s: 0.03}'
        ),
        limits=_BUSY,
    ),
    "batch": Shape(
        spec=_three(
            'target: "t:work_batch", input: q, output: r, call: batch, batch: {size: 4}, '
            "kwargs: {each_s: 0.03}"
        ),
        limits=_BUSY,
    ),
    "stream": Shape(
        spec=_three(
            'target: "t:work_stream", input: q, output: r, call: stream, kwargs: {each_s: 0.03}'
        ),
        limits=_BUSY,
    ),
    "ordered": Shape(
        spec=_three(f"{_SLOW}, workers: 2, ordered: true", args="n: 80"), limits=_BUSY
    ),
    "command": Shape(
        spec=_three('command: "sleep 0.03; echo {item}", input: q, output: r'), limits=_BUSY
    ),
    "max_bytes": Shape(
        spec="""
queues: {q: {maxsize: 100, max_bytes: 200KB}}
jobs:
  src: {target: "t:bursts", kwargs: {n: 4, think_s: 0.25, size: 10, nbytes: 90000}, output: q}
  end: {target: "t:work", kwargs: {each_s: 0.025}, input: q}
""",
        limits=(("src", "bytes"),),
    ),
    "rate": Shape(spec=_three(f"{_WORK}, rate: 25/s", args="n: 30"), limits=(("mid", "rate"),)),
    "burners": Shape(
        spec=_three(
            'target: "t:burn", input: q, output: r, kwargs: {each_s: 0.05}, workers: 4',
            args="n: 60",
        ),
        limits=(("mid", "processors"),),
        also=(("mid", "busy"),),
    ),
    "import": Shape(
        spec=_three('target: "slow:work", input: q, output: r', args="n: 20"),
        limits=(("mid", "starting"),),
    ),
    "two-phases": Shape(
        spec="""
queues: {q: 4, r: 4}
jobs:
  src: {target: "t:numbers", kwargs: {n: 60}, output: q}
  one: {target: "t:work_on", args: [0, 30, 0.04], input: q, output: r}
  two: {target: "t:work_on", args: [30, 60, 0.04], input: r}
""",
        limits=(("one", "busy"), ("two", "busy")),
    ),
    "second-source": Shape(
        spec="""
queues: {q: 4}
jobs:
  more: {target: "t:numbers", kwargs: {n: 3}, output: q}
  src: {target: "t:numbers", kwargs: {n: 60, each_s: 0.03}, output: q}
  end: {target: "t:work", input: q}
""",
        limits=(("src", "busy"),),
    ),
    "one-item": Shape(
        spec=_three('target: "t:work_on", args: [49, 50, 3.0], input: q, output: r, workers: 2'),
        limits=(("mid", "straggler"),),
    ),
    "failed": Shape(
        spec=_three('target: "t:fail_at", args: [0.03, 40], input: q, output: r'),
        limits=_BUSY,
        exit_code=1,
    ),
    "timed-out": Shape(
        spec="timeout: 2s" + _three(_SLOW, args="n: 5000"), limits=_BUSY, exit_code=124
    ),
    "interrupted": Shape(
        spec=_three(_SLOW, args="n: 5000"), limits=_BUSY, exit_code=130, interrupt_s=2.0
    ),
    "dead-letters": Shape(
        spec=_three(
            'target: "t:fail_at", args: [0.03, -1, 3], on_error: dead_letter, input: q, output: r'
        ),
        limits=_BUSY,
        exit_code=3,
    ),
    "tiny": Shape(
        spec=_three('target: "t:spin", args: [1500], input: q, output: r', args="n: 40000").replace(
            "q: 4, r: 4", "q: 1000, r: 1000"
        ),
        limits=_BUSY,
    ),
    "retries": Shape(
        spec="""
queues: {q: 1, r: 20}
jobs:
  src: {target: "t:numbers", kwargs: {n: 6}, output: q}
  mid:
    target: "t:second_time"
    input: q
    output: r
    retry: {attempts: 2, backoff: {initial: 400ms}}
  end: {target: "t:work_batch", kwargs: {each_s: 0.0}, input: r, call: batch}
""",
        limits=(("mid", "straggler"),),
    ),
    "equal": Shape(
        spec="""
queues: {q: 4, r: 4}
jobs:
  src: {target: "t:numbers", kwargs: {n: 50}, output: q}
  one: {target: "t:work", kwargs: {each_s: 0.03}, input: q, output: r}
  two: {target: "t:work", kwargs: {each_s: 0.03}, input: r}
""",
        limits=(("one", "busy"), ("two", "busy")),
        any_order=True,
    ),
}


def wrong(shape: Shape, folder: Path) -> Iterator[str]:
    """Run a shape in a new folder; yield what is wrong with what is said of it."""
    folder.mkdir(parents=True)
    (folder / "jobs.yaml").write_text("version: 1\n" + shape.spec)
    shutil.copy(Path(__file__).with_name("limit_targets.py"), folder / "t.py")
    (folder / "slow.py").write_text("import time\nfrom t import work\n\ntime.sleep(2)\n")
    exit_code, said = _run(shape, folder)
    run = folder / "run"
    try:
        summary = json.loads((run / "summary.json").read_bytes())
    except FileNotFoundError:
        yield f"no summary, exit code {exit_code}: {said[-500:]}"
        return
    if exit_code != shape.exit_code:
        yield f"exit code {exit_code}: {said[-500:]}"
    found = summary["bottlenecks"]
    (life,) = read_samples(run)
    for each in found:
        yield from _of_processors(each, life.samples)
        if f"bottleneck: {each['text']}" not in said:
            yield f"not said at the end: {each['text']}"
    if summary["bottleneck"] != (found[0]["job"] if found else None):
        yield f"bottleneck: {summary['bottleneck']}, and the first is another"
    yield from _of_limits(shape, found, life.samples)


def _run(shape: Shape, folder: Path) -> tuple[int, str]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("mporch"), "run", "--run-dir", "run"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            if shape.interrupt_s is not None:
                _has_run(folder / "run/samples.jsonl", shape.interrupt_s)
                process.send_signal(signal.SIGINT)
            code = process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    return code, (folder / "said").read_text()


def _has_run(samples: Path, seconds: float) -> None:
    """Wait until a run has sampled for so long."""
    lines, end = seconds / SAMPLE_EVERY_S, time.monotonic() + _LONGEST_S
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            if samples.read_bytes().count(b"\n") > lines:
                return
        time.sleep(0.05)


def _busy(found: dict, samples: Sequence[Sample]) -> float | None:
    """How busy the machine was meanwhile, by the samples."""
    within = [s.system for s in samples if found["from_s"] - 0.001 <= s.t <= found["to_s"] + 0.001]
    if len(within) < 2:
        return None
    busy_s = within[-1].busy_s - within[0].busy_s
    both_s = busy_s + within[-1].idle_s - within[0].idle_s
    return busy_s / both_s if both_s > 0 else None


def _of_processors(found: dict, samples: Sequence[Sample]) -> Iterator[str]:
    busy = _busy(found, samples)
    if busy is None:
        return
    if found["why"] == "processors" and busy < _SPENT - _SLACK:
        yield f"processors, and {busy:.2f} of the machine was busy: {found}"
    retries = "tries again" in found["text"]
    if found["why"] in _MAY_BE_SPENT and busy > _SPENT + _SLACK and not retries:
        yield f"not processors, though {busy:.2f} of the machine was busy: {found}"


def _of_limits(shape: Shape, found: list[dict], samples: Sequence[Sample]) -> Iterator[str]:
    named = [(each["job"], each["why"]) for each in found]
    expected = list(shape.limits)
    rest = []
    for job, why in named:
        matching = [
            (name, reason)
            for name, reason in (*expected, *shape.also)
            if name == job and (reason == why or (why == "processors" and reason in _MAY_BE_SPENT))
        ]
        if matching and matching[0] in expected:
            if not shape.any_order and matching[0] != expected[0]:
                yield f"not in order: {_told(found, samples)}"
            expected.remove(matching[0])
        elif not matching and why != "starting":  # a busy machine takes its time to begin
            rest.append((job, why))
    if expected and not set(named) & set(shape.also):
        yield f"not named: {expected}, but {_told(found, samples)}"
    if main := [each for each in found if (each["job"], each["why"]) in rest]:
        longest = max(each["share"] for each in found)
        for each in main:
            if each is found[0] or each["share"] >= longest / 2:
                yield f"named without reason: {_told(found, samples)}"


def _told(found: list[dict], samples: Sequence[Sample]) -> str:
    parts = [
        f"{each['job']} {each['why']} {each['share']:.2f} {each['from_s']:.2f}-{each['to_s']:.2f}"
        f" (machine {_busy(each, samples)})"
        for each in found
    ]
    return "; ".join(parts) or "nothing"


def _load(n: int) -> list[multiprocessing.Process]:
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(n)]
    for burner in burners:
        burner.start()
    return burners


def _burn() -> None:
    while os.getppid() > 1:
        pass


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    base, began = Path(tempfile.mkdtemp(prefix="limits-")), time.monotonic()
    burners = _load(options.load)
    tasks = [(name, n) for n in range(options.times) for name in options.shapes]
    failed = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = pool.map(lambda t: list(wrong(SHAPES[t[0]], base / f"{t[0]}-{t[1]}")), tasks)
        for (name, n), problems in zip(tasks, results, strict=True):
            if problems:
                failed += 1
                print(json.dumps({"shape": name, "n": n, "problems": problems}), flush=True)
    for burner in burners:
        burner.kill()
    took = int(time.monotonic() - began)
    print(json.dumps({"runs": len(tasks), "failed": failed, "s": took}))
    if not failed:
        shutil.rmtree(base)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
