"""Repeated news: what is told in full, what is counted, and when the count is told."""

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemRetried,
    WorkerEnded,
    WorkerReplaced,
)
from orchestrator.runlog.catalogue import describe
from orchestrator.views.repeats import Repeats


def failure(message="bad 1", kind="ValueError"):
    return Failure(kind=kind, message=message)


def about(n, job="f"):
    return {"job": job, "worker": f"{job}-1", "item": f"q:{n}", "queue": "q"}


def retried(n=1, job="f", **why):
    return ItemRetried(**about(n, job), attempts=1, delay_s=0, failure=failure(**why))


def dead(n=1, **why):
    blob = {"chunk": b"", "index": 0, "packed": False}
    return ItemDead(**about(n), attempts=2, failure=failure(**why), **blob)


def failed(n=1, **why):
    return ItemFailed(**about(n), failure=failure(**why))


def replaced(n=1, reason="killed by SIGSEGV at item q:{n}"):
    worker = {"worker": f"f-{n}", "pid": n, "exit_code": -11, "n": n}
    return WorkerReplaced(job="f", reason=reason.format(n=n), **worker)


def ended(n=1, state="failed", reason="", why=None):
    about = {"worker": f"f-{n}", "pid": n, "exit_code": 1, "failure": why}
    return WorkerEnded(job="f", state=state, reason=reason, **about)


def told(*facts, every_s=2.0):
    """What is told of them: lines as they come, and those at the end."""
    repeats = Repeats(describe)
    lines = [line for n, fact in enumerate(facts) if (line := repeats.take(fact, n * every_s))]
    return [text for _, text in lines], [text for _, text in repeats.rest()]


def test_the_first_three_are_told_in_full():
    lines, rest = told(*(retried(n) for n in range(1, 4)))
    assert lines == [describe(retried(n))[2] for n in range(1, 4)]
    assert rest == []


def test_the_fourth_is_told_at_the_end():
    lines, rest = told(*(retried(n) for n in range(4)))
    assert len(lines) == 3
    assert rest == ["f: 4 retries in all: ValueError: bad #"]


def test_the_count_is_told_in_growing_steps_and_at_the_end():
    lines, rest = told(*(retried(n) for n in range(3456)))
    assert lines[3:] == [
        f"f: {n} retries so far: ValueError: bad #"
        for n in ("10", "30", "100", "300", "1,000", "3,000")
    ]
    assert rest == ["f: 3,456 retries in all: ValueError: bad #"]


def test_the_count_is_told_once_a_second_at_most():
    lines, rest = told(*(retried(n) for n in range(1200)), every_s=0.01)
    counts = [text.split()[1] for text in lines[3:]]
    assert counts == ["103", "300", "1,000"]
    assert rest == ["f: 1,200 retries in all: ValueError: bad #"]


def test_a_count_that_was_just_told_is_not_told_again():
    lines, rest = told(*(retried(n) for n in range(10)))
    assert len(lines) == 4
    assert rest == []


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ([retried(n) for n in range(4)], "f: 4 retries in all: ValueError: bad #"),
        ([dead(n) for n in range(4)], "f: 4 dead letters in all: ValueError: bad #"),
        ([failed(n) for n in range(4)], "f: 4 failed items in all: ValueError: bad #"),
        (
            [replaced(n) for n in range(4)],
            "f: 4 replaced workers in all: killed by SIGSEGV at item #",
        ),
        (
            [ended(n, why=failure(f"no {n}")) for n in range(4)],
            "f: 4 workers failed in all: ValueError: no #",
        ),
        (
            [ended(n, "timed_out", f"item q:{n} took too long") for n in range(4)],
            "f: 4 workers timed out in all: item # took too long",
        ),
        ([ended(n, "killed") for n in range(4)], "f: 4 workers killed in all"),
        ([retried(message="") for _ in range(4)], "f: 4 retries in all: ValueError"),
        (
            [retried(message=f"no '{word}'") for word in ("a", "b c", "", "d")],
            "f: 4 retries in all: ValueError: no '…'",
        ),
        (
            [retried(message=f'no "{word}" of mine') for word in ("a", "b c", "", "d")],
            'f: 4 retries in all: ValueError: no "…" of mine',
        ),
        (
            [retried(message=f"{word} is bad") for word in ("1.5", "0x1f", "10:30:01", "a7-b")],
            "f: 4 retries in all: ValueError: # is bad",
        ),
        (
            [retried(message="x" * 300 + f"{n}") for n in range(4)],
            f"f: 4 retries in all: ValueError: {'x' * 200}",
        ),
    ],
    ids=str,
)
def test_a_kind_is_what_happened_by_what_error_but_for_numbers_and_quoted_texts(facts, line):
    assert told(*facts)[1] == [line]


@pytest.mark.parametrize(
    "others",
    [
        [retried(job="g") for _ in range(3)],
        [dead() for _ in range(3)],
        [retried(kind="KeyError") for _ in range(3)],
        [retried(message="worse") for _ in range(3)],
    ],
    ids=["job", "event", "type", "message"],
)
def test_what_differs_is_another_kind(others):
    lines, rest = told(*(retried() for _ in range(3)), *others)
    assert len(lines) == 6
    assert rest == []


def test_messages_without_end_are_few_kinds():
    words = [chr(ord("a") + n % 26) + chr(ord("a") + n // 26) for n in range(600)]
    lines, rest = told(*(retried(message=word) for word in words))
    assert len(lines) < 25
    assert rest == ["f: 596 retries in all: ValueError: other messages"]


def test_types_of_errors_without_end_are_few_kinds():
    lines, rest = told(*(retried(kind=f"E{n}") for n in range(600)))
    assert len(lines) < 60
    assert rest == ["f: 584 retries in all: other errors"]


def test_the_rest_of_a_job_is_told_once():
    repeats = Repeats(describe)
    for n in range(5):
        repeats.take(retried(n), n)
        repeats.take(retried(n, job="g"), n)
    assert [text[:2] for _, text in repeats.rest("f")] == ["f:"]
    assert list(repeats.rest("f")) == []
    assert [text[:2] for _, text in repeats.rest()] == ["g:"]


@pytest.mark.parametrize(("fact", "level"), [(retried(), 30), (dead(), 40), (failed(), 40)])
def test_a_count_is_as_grave_as_what_it_counts(fact, level):
    repeats = Repeats(describe)
    levels = {told[0] for n in range(10) if (told := repeats.take(fact, n))}
    assert levels == {level}
