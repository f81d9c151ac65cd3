"""Frames of the live display."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.reporting import JobSnapshot, QueueSnapshot, Snapshot
from orchestrator.views.frame import Live, Look, Rates, frame

JOBS = (
    JobSnapshot(name="find", state="succeeded", items_out=1706),
    JobSnapshot(name="parse", state="running", workers=2, running=1, waiting_output=1, items_in=90),
    JobSnapshot(name="write", state="ready", workers=1, waiting_input=1),
    JobSnapshot(name="report", state="pending"),
)
QUEUES = (
    QueueSnapshot(name="files", size=256, maxsize=256),
    QueueSnapshot(name="facts", size=1, maxsize=64),
    QueueSnapshot(name="free", size=12, maxsize=0),
)
SNAPSHOT = Snapshot(jobs=JOBS, queues=QUEUES)
SGR = re.compile(r"\x1b\[\d+m")


def draw(snapshot=SNAPSHOT, width=80, height=24, **look):
    look = Look(width=width, height=height, **{"colour": False} | look)
    return frame(snapshot, look, title="census", elapsed_s=12.3, rates={"parse": 312.0})


def test_a_frame_tells_of_jobs_and_queues():
    assert draw() == [
        "census  12.3 s",
        "  find    succeeded                          1,706 out",
        "  parse   1 of 2 running          90 in                     312/s",
        "  write   1 await input",
        "  report  pending",
        "  files   ██████████ 256/256",
        "  facts   █░░░░░░░░░ 1/64",
        "  free    12 queued",
    ]


def test_a_narrow_frame_keeps_one_count():
    assert draw(width=40)[1:3] == [
        "  find    succeeded           1,706",
        "  parse   1 of 2 running         90",
    ]


def test_without_unicode_the_frame_is_ascii():
    assert all(line.isascii() for line in draw(unicode=False, width=20))


counts = st.integers(0, 10**9)
jobs = st.builds(
    JobSnapshot,
    name=st.text("abc-", min_size=1, max_size=64),
    state=st.sampled_from(["pending", "running", "failed", "waiting_input"]),
    workers=counts,
    running=counts,
    waiting_input=counts,
    waiting_output=counts,
    items_in=counts,
    items_out=counts,
)


@given(
    st.lists(jobs, max_size=40, unique_by=lambda j: j.name), st.integers(1, 200), st.integers(1, 60)
)
def test_a_frame_fits_any_terminal(some, width, height):
    lines = draw(Snapshot(jobs=tuple(some), queues=QUEUES), width=width, height=height, colour=True)
    assert all(len(SGR.sub("", line)) < max(width, 2) for line in lines)
    assert len(lines) <= max(height, 3)


def test_of_too_many_jobs_those_at_work_are_shown_and_the_rest_counted():
    many = tuple(JobSnapshot(name=f"j{n}", state="succeeded") for n in range(100))
    lines = draw(Snapshot(jobs=(*many, JOBS[1])), height=10)
    assert any("parse" in line for line in lines)
    assert lines[-1] == "  and 94 succeeded"


@pytest.mark.parametrize(
    ("workers", "text"),
    [
        ({"workers": 2, "waiting_output": 2}, "2 await room"),
        ({"workers": 2, "waiting_output": 1, "waiting_input": 1}, "2 waiting"),
        ({"workers": 3}, "3 ready"),
    ],
)
def test_what_workers_wait_for_is_said(workers, text):
    job = JobSnapshot(name="a", state="ready", **workers)
    assert draw(Snapshot(jobs=(job,)))[1] == f"  a  {text}"


def snapshot_of(items):
    return Snapshot(jobs=(JobSnapshot(name="a", state="running", items_in=items),))


def test_rates_are_of_the_last_two_seconds():
    rates = Rates()
    assert rates.add(snapshot_of(0), 0.0) == {}
    for tick in range(1, 41):
        seen = rates.add(snapshot_of(100 * tick if tick <= 20 else 2000), tick / 4)
    assert seen == {"a": 0.0}


def test_what_is_drawn_is_erased_whole():
    live = Live("census")
    assert live.erase(80) == ""
    live.take(SNAPSHOT, Look(width=80, height=24), now=0.0)
    assert live.draw().count("\n") == 7
    assert live.erase(80) == "\r\x1b[7A\x1b[K\x1b[C\x1b[J\r"
    assert live.erase(80) == ""


def test_a_block_that_a_narrower_terminal_has_wrapped_is_erased_whole():
    live = Live("census")
    live.take(Snapshot(jobs=(JOBS[0],)), Look(width=80, height=24, colour=True), now=0.0)
    live.draw()
    assert live.erase(20) == "\r\x1b[3A\x1b[K\x1b[C\x1b[J\r"
