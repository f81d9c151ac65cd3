"""Each key of a job has the effect that docs/keys.md promises for its shape.

All cells share one run: each job has one key in one shape, and what it prints, how it ends and what
is logged of it tells whether that has had its effect.
"""

import signal

import pytest
from keys_page import JOBS, Draft, ran_once, those

from orchestrator.runlog.samples import read_samples

READERS = ("item", "batch", "stream", "handles")
SHAPES = ("task", "writer", "source", *READERS)

CODE = '''
import itertools, multiprocessing, os, resource, signal, sys, time
import orchestrator

def feed(items): return items

def drain(items):
    for item in items: pass

def consume(*given, **handles):
    """Take all there is of a stream or a handle; other shapes are called with values."""
    for each in (*given, *handles.values()):
        if hasattr(each, "__next__") or (hasattr(each, "get") and not hasattr(each, "keys")):
            if "out" not in handles or each is not handles["out"]:
                for _ in each: pass
    return []

class Given:
    """Tells once a worker what it was given."""
    def __init__(self, first, key=None):
        limits = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)
        print("given", first, key, os.environ.get("MARK"), os.path.basename(os.getcwd()),
              *(resource.getrlimit(limit)[0] for limit in limits))
    def __call__(self, *given, **handles):
        return consume(*given, **handles)

def hang(*_, **__):
    while True: signal.pause()

class Deaf:
    """Made before its worker is ready, so before its time counts."""
    def __init__(self): signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    def __call__(self, *_, **__): return hang()

def fail(*_, **__):
    raise ValueError("told to")

class Lingers:
    def __enter__(self): return self
    def __exit__(self, *_): hang()
    def __call__(self, *given): return consume(*given)

def linger(*given, **handles):
    consume(*given, **handles)
    hang()

def fail_first(*_, **__):
    if orchestrator.current().attempt == 1:
        raise ValueError("the first time")
    return []

def die_once(*_, out=None):
    name = "died-" + orchestrator.current().job
    for n in range(3):
        if out is not None: out.put(n)
    if not os.path.exists(name):
        open(name, "w").close()
        os._exit(7)
    return range(3)

def die(*_): os._exit(7)

def slow_first(n):
    if n == 1: time.sleep(0.2)
    return n

def tell(numbers): print("told", *numbers)

def tell_length(numbers): print("length", len(numbers))

def one_by_one():
    yield 1
    while not os.path.exists("had-the-first"): time.sleep(0.01)
    yield 2

def tell_length_and_go_on(numbers):
    tell_length(numbers)
    open("had-the-first", "w").close()

def tell_when(_): print(time.monotonic())

def nothing(*_): return []

BULK = []

def grow(*_):
    BULK.append(b"x" * (80 << 20))
    return []
'''

GIVEN = (
    "args: [7], kwargs: {key: 8}, env: {MARK: here}, cwd: sub, start_method: fork, after: first,"
    " limits: {memory: 8GiB, cpu: 77s, open_files: 123}"
)
TOLD = f"given 7 8 here sub {8 << 30} 77 123"


def made_of_jobs():
    """One job for each effect in each shape."""
    draft = Draft()
    draft.jobs["first"] = 'target: "t:nothing"'
    for shape in SHAPES:
        target = 'target: "t:{}"'.format
        several = ", workers: 2" if shape in SHAPES[3:] else ""
        draft.add(f"given_{shape}", shape, GIVEN + several, target("Given"))
        draft.add(f"start_{shape}", shape, "timeouts: {start: 300ms}", 'target: "late:never"')
        stop = "timeouts: {run: 200ms}, terminate: {signal: SIGUSR1"
        draft.add(f"signal_{shape}", shape, f"{stop}}}", target("hang"))
        draft.add(f"grace_{shape}", shape, f"{stop}, grace: 100ms}}", target("Deaf"))
        draft.add(f"failure_{shape}", shape, "on_failure: continue", target("fail"))
        if shape not in ("source", "writer"):
            join = ", join: 200ms" if shape in READERS else ""
            draft.add(f"daemon_{shape}", shape, f"daemon: true{join}", target("hang"))
    for shape in ("writer", "source"):  # what a daemon writes is read by daemons
        draft.queues[f"o_daemon_{shape}"] = "maxsize: 10"
        out = f"{{out: o_daemon_{shape}}}" if shape == "writer" else f"o_daemon_{shape}"
        draft.jobs[f"daemon_{shape}"] = f'target: "t:hang", output: {out}, daemon: true'
        reads = f"input: o_daemon_{shape}, call: stream, daemon: true"
        draft.jobs[f"of_daemon_{shape}"] = f'target: "t:drain", {reads}'
    for shape in ("item", "batch"):
        target = 'target: "t:{}"'.format
        draft.add(f"join_{shape}", shape, "join: 200ms", target("Lingers"))
        draft.add(f"item_{shape}", shape, "timeouts: {item: 200ms}", target("hang"))
        draft.add(f"on_error_{shape}", shape, "on_error: skip", target("fail"))
        named = "on_error: skip, item_name: 'the {item}th'"
        draft.add(f"named_{shape}", shape, named, target("fail"))
        again = "retry: {attempts: 2, backoff: {initial: 7ms, max: 7ms}}"
        draft.add(f"retry_{shape}", shape, again, target("fail_first"))
        none = "restart: {max: 0}, retry: {attempts: 2}"
        draft.add(f"restart_{shape}", shape, none, target("die"))
        draft.add(f"max_items_{shape}", shape, "recycle: {max_items: 1}", target("nothing"))
        draft.add(f"max_rss_{shape}", shape, "recycle: {max_rss: 64MiB}", target("grow"))
    for shape in ("stream", "handles"):
        draft.add(f"join_{shape}", shape, "join: 200ms", 'target: "t:linger"')
    for shape in ("writer", "source"):
        again = "restart: {max: 3, replay: skip}"
        draft.add(f"restart_{shape}", shape, again, 'target: "t:die_once"')
    draft.add("rate_item", "item", "rate: 5/s", 'target: "t:tell_when"')
    draft.add("total_source", "source", "total: 12", 'target: "t:consume"')
    draft.add("ordered_item", "item", "ordered: true, workers: 2, OUT", 'target: "t:slow_first"')
    draft.drained.remove("o_ordered_item")
    draft.jobs["of_ordered"] = 'target: "t:tell", input: o_ordered_item, call: stream'
    draft.add("size_batch", "batch", "batch: {size: 2}", 'target: "t:tell_length"')
    draft.queues["seldom"] = "maxsize: 10"
    draft.jobs["seldom"] = 'target: "t:one_by_one", output: seldom'
    within = "call: batch, batch: {within: 500ms}"
    draft.jobs["within_batch"] = f'target: "t:tell_length_and_go_on", input: seldom, {within}'
    return draft


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    late = {"late.py": "import signal\nsignal.pause()\ndef never(*_, **__): return []\n"}
    return ran_once(tmp_path_factory, made_of_jobs(), CODE, more=late)


def given(ended, shape):
    lines = ended.log.printed(f"given_{shape}-1")
    assert lines == [TOLD]


def reason_of(ended, job):
    return ended.summary["jobs"][job]["reason"]


def ended_as(status, prefix, said):
    """A witness: the job has ended so, and why."""

    def witness(ended, shape):
        name = f"{prefix}_{shape}"
        assert ended.statuses()[name] == status
        assert said in reason_of(ended, name)

    return witness


def ended_when_the_others_had(ended, shape):
    """One that reads has its `join` to come to the end of its input."""
    status, said = ("timed_out", "(join)") if shape in READERS else ("terminated", "stopped")
    ended_as(status, "daemon", said)(ended, shape)


def stopped_by_its_signal(ended, shape):
    name = f"signal_{shape}"
    assert ended.statuses()[name] == "timed_out"
    assert ended.codes()[name] == [-signal.SIGUSR1]


def killed_after_its_grace(ended, shape):
    assert ended.codes()[f"grace_{shape}"] == [-signal.SIGKILL]
    sent = ended.log.having("signal.sent", worker=f"grace_{shape}-1")
    assert [record["signal"] for record in sent] == ["SIGUSR1", "SIGKILL"]


def counted(prefix, key, n=None):
    def witness(ended, shape):
        found = ended.summary["jobs"][f"{prefix}_{shape}"][key]
        assert found == n if n is not None else found

    return witness


def called(ended, shape):
    """What `call` makes of a job is its shape: each has its own witness here."""
    assert ended.summary["jobs"][f"given_{shape}"]["items_in"] == 3
    if shape == "batch":
        assert ended.log.printed("size_batch-1")[0] == "length 2"


def in_all_its_workers(ended, shape):
    assert ended.log.printed(f"given_{shape}-2") == [TOLD]


def began_after(ended, shape):
    first = ended.log.place("worker.ended", worker="first-1")
    assert first < ended.log.place("worker.started", worker=f"given_{shape}-1")


def forked(ended, shape):
    (started,) = ended.log.having("worker.started", worker=f"given_{shape}-1")
    assert started["start_method"] == "fork"


def waited_for_so_long(ended, shape):
    retries = ended.log.having("item.retried", job=f"retry_{shape}")
    assert retries
    assert all(0.003 <= record["delay_s"] <= 0.007 for record in retries)


def not_restarted(ended, shape):
    if shape in ("writer", "source"):
        assert ended.statuses()[f"restart_{shape}"] == "succeeded"
        assert ended.summary["jobs"][f"restart_{shape}"]["restarts"] == 1
    else:
        assert ended.statuses()[f"restart_{shape}"] == "failed"
        assert ended.summary["jobs"][f"restart_{shape}"]["restarts"] == 0


def put_once(ended, shape):
    assert ended.ledger(f"o_restart_{shape}") == {"put": 3, "done": 3}


def in_order(ended, _):
    assert ended.log.printed("of_ordered-1") == ["told 1 2 3"]


def told_to_who_looks(ended, shape):
    (life,) = read_samples(ended.log.path.parent)
    assert {job.name: job.total for job in life.header.jobs}[f"total_{shape}"] == 12


def in_time(ended, shape):
    assert ended.log.printed("within_batch-1") == ["length 1", "length 1"]
    assert ended.summary["jobs"]["within_batch"]["waiting_within_s"] >= 0.5


def at_its_rate(ended, shape):
    first, second, third = map(float, ended.log.printed("rate_item-1"))
    assert second - first > 0.15
    assert third - first > 0.35


def named(ended, shape):
    told = ended.log.having("item.skipped", job=f"named_{shape}")
    assert [each["item_name"] for each in told] == ["the 1th", "the 2th", "the 3th"]


def of_that_size(ended, shape):
    assert ended.log.printed("size_batch-1") == ["length 2", "length 1"]


WITNESSES = {
    **dict.fromkeys(("args", "kwargs", "env", "cwd"), given),
    **dict.fromkeys(("limits.memory", "limits.cpu", "limits.open_files"), given),
    "call": called,
    "batch.size": of_that_size,
    "batch.within": in_time,
    "workers": in_all_its_workers,
    "after": began_after,
    "timeouts.start": ended_as("failed", "start", "timeouts.start"),
    "timeouts.item": ended_as("timed_out", "item", "timeouts.item"),
    "timeouts.run": ended_as("timed_out", "signal", "timeouts.run"),
    "join": ended_as("timed_out", "join", "(join)"),
    "terminate.signal": stopped_by_its_signal,
    "terminate.grace": killed_after_its_grace,
    "on_error": counted("on_error", "skipped", 3),
    "item_name": named,
    "retry.attempts": counted("retry", "retried"),
    "retry.backoff": waited_for_so_long,
    "restart.max": not_restarted,
    "restart.replay": put_once,
    "on_failure": ended_as("failed", "failure", "ValueError: told to"),
    "recycle.max_items": counted("max_items", "recycled"),
    "recycle.max_rss": counted("max_rss", "recycled"),
    "rate": at_its_rate,
    "ordered": in_order,
    "total": told_to_who_looks,
    "daemon": ended_when_the_others_had,
    "start_method": forked,
}


@pytest.mark.parametrize(("key", "shape"), **those(JOBS, "yes"))
def test_a_key_of_a_job_has_its_effect(jobs, key, shape):
    WITNESSES[key](jobs, shape)


def test_the_run_went_on_to_its_end(jobs):
    assert jobs.exit_code == 1
    assert jobs.statuses()["drain"] == "succeeded"
