"""Each limit of a queue holds, whoever puts on it: as docs/keys.md says."""

import pytest
from keys_page import QUEUES, Draft, problems_of, ran_once, slug, those, told_at

from orchestrator.choices import WhenFull
from orchestrator.errors import Severity

N = 12
"""Items that each writer puts; its queue holds fewer."""

WRITERS = {
    "source: yield": ("source", 'target: "w:each"'),
    "source: a command": ("source", f'command: "seq {N}"'),
    "writer: put": ("writer", 'target: "w:put"'),
    "item: a value": ("item", 'target: "w:value", OUT'),
    "item: yield": ("item", 'target: "w:twice", OUT'),
    "item: put": ("item", 'target: "w:put_one", OUT-BY-HANDLE'),
    "item: a command": ("item", "command: \"printf '1\\\\n2\\\\n'\", OUT"),
    "ordered item": ("item", 'target: "w:value", ordered: true, OUT'),
    "batch: a list": ("batch", 'target: "w:listed", OUT'),
    "batch: yield": ("batch", 'target: "w:each_of", OUT'),
    "batch: put": ("batch", 'target: "w:put_each", OUT-BY-HANDLE'),
    "batch: a command": ("batch", "command: cat, OUT"),
    "stream: yield": ("stream", 'target: "w:each_of", OUT'),
    "stream: put": ("stream", 'target: "w:put_each", OUT-BY-HANDLE'),
    "stream: a command": ("stream", "command: cat, OUT"),
    "handles: yield": ("handles", 'target: "w:each_of", OUT'),
    "handles: put": ("handles", 'target: "w:put_each", OUT-BY-HANDLE'),
}
LIMITS = {
    "put_timeout": "maxsize: 3, put_timeout: 200ms",
    "when_full: fail": "max_bytes: 40B, when_full: fail",
    "when_full: drop_newest": "maxsize: 3, when_full: drop_newest",
    "when_full: drop_oldest": "max_bytes: 40B, when_full: drop_oldest",
}
"""`maxsize` and `max_bytes` are what makes them full."""

WRITERS_CODE = f"""
def each(): yield from range({N})
def put(out):
    for n in range({N}): out.put(n)
def value(n): return n
def twice(n):
    yield n
    yield n
def put_one(n, out): out.put(n)
def listed(ns): return ns
def each_of(ns=None, q=None): yield from (q if ns is None else ns)
def put_each(ns=None, q=None, out=None):
    for n in (q if ns is None else ns): out.put(n)
"""

READER_CODE = """
import signal

def feed(items): return items

def stuck(**queues):
    while True: signal.pause()
"""


def made_of_queues(*limits):
    """Writers of queues that nobody reads: their reader hangs, and is ended with the run."""
    draft = Draft(items=range(N))
    for who, (shape, run) in WRITERS.items():
        for limit in limits:
            if (who, limit, "yes") not in QUEUES:
                continue
            run_, _, keys = run.partition(", OUT")
            keys = f"OUT{keys}" if "OUT" in run else ""
            if shape == "batch":
                keys += ", batch: {size: 4, within: 10ms}"
            draft.add(slug(who, limit), shape, keys, run_, out=LIMITS[limit])
    reads = ", ".join(f"q{at}: {queue}" for at, queue in enumerate(draft.drained))
    draft.drained = []
    draft.jobs["stuck"] = f'target: "t:stuck", input: {{{reads}}}, daemon: true'
    return draft


def test_every_policy_of_a_full_queue_is_tried() -> None:
    assert {f"when_full: {each.value}" for each in WhenFull} - {"when_full: block"} <= set(LIMITS)


@pytest.fixture(scope="module")
def queues(tmp_path_factory):
    draft = made_of_queues(*LIMITS)
    return ran_once(tmp_path_factory, draft, READER_CODE, more={"w.py": WRITERS_CODE})


def limited(ended, who, limit):
    name, queue = slug(who, limit), f"o_{slug(who, limit)}"
    if "drop" in limit:
        assert ended.statuses()[name] == "succeeded"
        ledger = ended.ledger(queue)
        assert ledger["dropped"] > 0
        return
    assert ended.statuses()[name] == "failed"
    reason = ended.summary["jobs"][name]["reason"]
    if "put" in who and not who.startswith(("item", "batch")):
        assert "queue.Full" in reason
    else:
        assert f"found the queue {queue} full" in reason
        assert "QueueFullError" in reason
    held = ended.ledger(queue)["put"]
    assert 0 < held <= 3 if limit == "put_timeout" else 0 < held < 2 * N


@pytest.mark.parametrize(("who", "limit"), **those(QUEUES, "yes"))
def test_a_key_of_a_queue_holds_whoever_puts(queues, who, limit):
    if limit in ("maxsize", "max_bytes"):
        limit = {"maxsize": "when_full: drop_newest", "max_bytes": "when_full: drop_oldest"}[limit]
    limited(queues, who, limit)


@pytest.mark.parametrize(("who", "limit"), **those(QUEUES, "error"))
def test_a_limit_that_an_ordered_job_cannot_keep_is_refused(tmp_path, who, limit):
    draft = Draft()
    draft.add("j", "item", "ordered: true, OUT", 'target: "t:value"', out=LIMITS[limit])
    told_at(draft.text(), tmp_path, "ordered", "error")


@pytest.mark.parametrize(
    ("queue", "key"),
    [
        ("maxsize: 0, put_timeout: 5s", "put_timeout"),
        ("maxsize: 0, when_full: fail", "when_full"),
        ("maxsize: 9, when_full: fail, put_timeout: 5s", "put_timeout"),
        ("maxsize: 9, when_full: drop_oldest, put_timeout: 5s", "put_timeout"),
    ],
)
def test_a_limit_of_a_queue_that_nobody_waits_for_is_refused(tmp_path, queue, key):
    draft = Draft()
    draft.add("j", "source", "", 'target: "t:consume"', out=queue)
    found = [p for p in problems_of(draft.text(), tmp_path) if p.code == "MP308"]
    assert [(p.path, p.severity) for p in found] == [(f"queues.o_j.{key}", Severity.ERROR)]
