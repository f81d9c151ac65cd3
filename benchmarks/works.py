"""The works that are measured, who does each of them, and what is wanted of mporch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import ways
from benchmarks.processes import Took
from benchmarks.ways import MALLOC, Pipeline, Place, Way

MPORCH = "mporch"
QUEUE = "multiprocessing.Queue"
TUNED = "multiprocessing.Queue, malloc thresholds"
PIPE = "bare batched pipe"
POOL = "Pool.imap(512)"
EXECUTOR = "ProcessPoolExecutor.map(512)"
ZMQ = "ZeroMQ, batched"
JOBLIB = "joblib, 2 processes"
PYPELN = "pypeln"
FIFO = "faster-fifo, put_many"

FLOWS, SINGLE, STARTING = "Items that flow", "Single items", "Starting"


@dataclass(frozen=True)
class Metric:
    """A column: its name, its unit, and whether more of it is better."""

    name: str
    unit: str
    more: bool = False


ITEMS = (Metric("items/s", "items/s", more=True),)
WAITS = (Metric("p50", "µs"), Metric("p99", "µs"))
MS = (Metric("ms", "ms"),)
MS_EACH = (Metric("ms each", "ms"),)


@dataclass(frozen=True)
class Work:
    """What all of its ways do, and how it is measured."""

    key: str
    title: str
    group: str
    ways: tuple[Way, ...]
    read: Callable[[Place, Took], list[float]]
    metrics: tuple[Metric, ...] = ITEMS
    """Ratios are those of the first."""
    subject: str = MPORCH
    """The way that is set against all others."""
    first_n: int = 20_000
    """The size of a run; of a scaled work, that of the run that finds the rate of a way."""
    scaled: bool = False
    """Whether n is chosen so that each way takes the same time."""
    base_n: int | None = None
    """The size of a run whose processor time is subtracted; None: the start is part of it."""
    wanted: dict[str, float] = field(default_factory=dict)
    """By the way that it is set against: at least so many times its rate, at most its time."""
    usual: bool = True
    """Whether it is part of a run that names none."""

    @property
    def per_item(self) -> bool:
        """Whether processor time is told by item, in microseconds; else in ms of the command."""
        return self.base_n is not None


def _flow(
    key: str,
    title: str,
    kind: str,
    ours: dict[str, Pipeline],
    peers: tuple[str, ...],
    *,
    bound: int = 10_000,
    **keys: Any,
) -> Work:
    """A source → map → sink; `bound` is the peers', in items."""
    module = "numpy" if kind == "arrays" else ""
    named = {
        QUEUE: Way(QUEUE, ways.peer("queue", kind, bound), needs=module),
        TUNED: Way(TUNED, ways.peer("queue", kind, bound), env=MALLOC, needs=module),
        PIPE: Way(PIPE, ways.peer("pipe", kind, bound), needs=module),
        POOL: Way(POOL, ways.peer("pool", kind, bound), cap=4_000_000),
        EXECUTOR: Way(EXECUTOR, ways.peer("executor", kind, bound), cap=500_000),
        ZMQ: Way(ZMQ, ways.peer("zmq", kind, bound), needs="zmq"),
        JOBLIB: Way(JOBLIB, ways.peer("joblib", kind, bound), needs="joblib", cap=500_000),
        PYPELN: Way(PYPELN, ways.peer("pypeln", kind, bound), needs="pypeln"),
        FIFO: Way(FIFO, ways.peer("faster-fifo", kind, bound), needs="faster_fifo"),
    }
    of_mporch = [Way(name, pipeline, needs=module, product=True) for name, pipeline in ours.items()]
    return Work(
        key=key,
        title=title,
        group=FLOWS,
        ways=(*of_mporch, *(named[name] for name in peers)),
        read=ways.rate,
        **{"scaled": True, "base_n": 2, **keys},
    )


_ALL = (PIPE, POOL, EXECUTOR, ZMQ, QUEUE, JOBLIB, PYPELN, FIFO)


def _large(size: int, n: int, *, usual: bool = False) -> Work:
    return _flow(
        f"{size}MB",
        f"items of {size} MB, queues of 1",
        f"{size}MB",
        {MPORCH: Pipeline(f"{size}MB", bound=1)},
        (PIPE, QUEUE, TUNED, ZMQ),
        bound=1,
        first_n=n,
        scaled=False,
        base_n=1,
        wanted={QUEUE: 1.5} if usual else {},
        usual=usual,
    )


def _durable(kind: str, title: str) -> Work:
    ours = {
        "mporch, durable: true": Pipeline(kind, spec_keys={"durable": True}),
        "mporch, not durable": Pipeline(kind),
        "mporch, durable: full": Pipeline(kind, spec_keys={"durable": "full"}),
    }
    subject = next(iter(ours))
    wanted = {"mporch, not durable": 0.7}
    return _flow(f"durable-{kind}", title, kind, ours, (), subject=subject, wanted=wanted)


def _ordered(key: str, title: str, function: str, first_n: int) -> Work:
    keys = {"workers": 2, "target": ways.target(function)}
    ours = {
        "mporch, ordered: true": Pipeline("ints", 1000, map_keys={**keys, "ordered": True}),
        "mporch, not ordered": Pipeline("ints", 1000, map_keys=keys),
    }
    return _flow(key, title, "ints", ours, (), subject=next(iter(ours)), first_n=first_n)


_FORKSERVER = """
import multiprocessing, sys
from benchmarks import stages
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=stages.{}) for _ in range(int(sys.argv[1]))]
    for process in processes: process.start()
    for process in processes: process.join()
"""
_POOL = """
from concurrent.futures import ProcessPoolExecutor
from benchmarks import stages
if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool: pool.submit(stages.nothing).result()
"""
_JOBLIB = """
import joblib
from benchmarks import stages
if __name__ == "__main__":
    joblib.Parallel(n_jobs=2)([joblib.delayed(stages.nothing)()])
"""
_SAFE_LOAD = "import yaml; yaml.safe_load(open('jobs.yaml', encoding='utf-8'))"
_STDLIB_FORKSERVER = "multiprocessing.Process, forkserver"

_FLOWS = (
    _flow(
        "ints",
        "ints, queues of 1000",
        "ints",
        {MPORCH: Pipeline("ints", 1000)},
        _ALL,
        bound=1000,
        wanted={PIPE: 0.30},
    ),
    _flow(
        "ints-default",
        "ints, no bound written",
        "ints",
        {MPORCH: Pipeline("ints")},
        _ALL,
        wanted={PIPE: 0.50, POOL: 0.9},
    ),
    _flow(
        "dicts",
        "dicts of 200 bytes, no bound written",
        "dicts",
        {MPORCH: Pipeline("dicts")},
        _ALL,
        first_n=10_000,
        wanted={PIPE: 0.80, POOL: 0.9},
    ),
    _flow(
        "kilobytes",
        "bytes of 1 KB, no bound written",
        "kilobytes",
        {MPORCH: Pipeline("kilobytes")},
        _ALL,
        first_n=10_000,
        wanted={PIPE: 0.60},
    ),
    _flow(
        "arrays",
        "NumPy arrays of 1 MB, no bound written",
        "arrays",
        {MPORCH: Pipeline("arrays")},
        (PIPE, QUEUE, TUNED, ZMQ, FIFO),
        bound=16,
        first_n=100,
        wanted={TUNED: 2.0},
    ),
    _large(100, 10, usual=True),
    _flow(
        "handles",
        "ints by handles, queues of 1000",
        "ints",
        {MPORCH: Pipeline("ints", 1000, handles=True)},
        (PIPE, QUEUE),
        bound=1000,
        wanted={QUEUE: 10.0},
    ),
    _durable("ints", "ints, durable"),
    _durable("dicts", "dicts of 200 bytes, durable"),
    _ordered("ordered", "ints in order, two workers", "same", 20_000),
    _ordered("ordered-uneven", "the same, busy for 0 to 0.2 ms an item", "uneven", 2_000),
    _large(10, 50),
    _large(400, 4),
    _large(900, 4),
)

_SINGLE = (
    Work(
        "roundtrip",
        "one item through two queues and back",
        SINGLE,
        (
            Way(MPORCH, ways.pair("trips", "mporch"), product=True),
            Way(QUEUE, ways.pair("trips", "queue")),
            Way("multiprocessing.Pipe", ways.pair("trips", "pipe")),
            Way("ZeroMQ", ways.pair("trips", "zmq"), needs="zmq"),
            Way("faster-fifo", ways.pair("trips", "faster-fifo"), needs="faster_fifo"),
        ),
        ways.waits,
        metrics=WAITS,
        first_n=3000,
        base_n=2,
        wanted={QUEUE: 1.5},
    ),
    Work(
        "latency",
        "from `put` to `get`, 20 ms after the one before",
        SINGLE,
        (
            Way(MPORCH, ways.pair("ages", "mporch"), product=True),
            Way("mporch, through an item job", ways.ages_in_a_run, product=True),
            Way(QUEUE, ways.pair("ages", "queue")),
        ),
        ways.waits,
        metrics=WAITS,
        first_n=100,
    ),
)

_STARTING = (
    Work(
        "start",
        "one empty task",
        STARTING,
        (
            Way(MPORCH, ways.tasks("nothing"), product=True),
            Way("ProcessPoolExecutor", ways.code(_POOL)),
            Way(_STDLIB_FORKSERVER, ways.code(_FORKSERVER.format("nothing"))),
            Way("joblib, 2 processes", ways.code(_JOBLIB), needs="joblib"),
            Way("python -c pass", ways.code("pass")),
        ),
        ways.milliseconds,
        metrics=MS,
        first_n=1,
    ),
    Work(
        "help",
        "`mporch --help`",
        STARTING,
        (
            Way(MPORCH, ways.command("--help"), product=True),
            Way("mporch --version", ways.command("--version"), product=True),
            Way("import click", ways.code("import click")),
        ),
        ways.milliseconds,
        metrics=MS,
        first_n=1,
        wanted={"import click": 1.2},
    ),
    Work(
        "workers",
        "100 workers, from the first that is ready to the last",
        STARTING,
        (
            Way(MPORCH, ways.tasks("stamp", "clock"), product=True),
            Way(
                _STDLIB_FORKSERVER,
                ways.code(_FORKSERVER.format("stamp, args=('clock',)")),
            ),
        ),
        ways.between_stamps,
        metrics=MS_EACH,
        first_n=100,
    ),
    Work(
        "thousand",
        "a thousand jobs that do nothing",
        STARTING,
        (
            Way(MPORCH, ways.tasks("nothing"), product=True),
            Way(_STDLIB_FORKSERVER, ways.code(_FORKSERVER.format("nothing"))),
        ),
        ways.milliseconds_each,
        metrics=MS_EACH,
        first_n=1000,
        usual=False,
    ),
    Work(
        "validate",
        "`mporch validate` of 1,000 jobs and 1,000 queues",
        STARTING,
        (
            Way(MPORCH, ways.thousand_jobs("validate"), product=True),
            Way("yaml.safe_load of the file", ways.thousand_jobs("-c", _SAFE_LOAD)),
        ),
        ways.milliseconds,
        metrics=MS,
        first_n=1000,
    ),
)

WORKS = {work.key: work for work in (*_FLOWS, *_SINGLE, *_STARTING)}
