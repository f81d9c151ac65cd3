"""Whatever a worker says, it is taken, or refused with nothing changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from fake_broker import FakeBroker, job, output
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.events import Received
from orchestrator.core.protocol.messages import (
    Ask,
    Commit,
    CommitStatus,
    Committed,
    End,
    Failure,
    FromWorker,
    JoinQueue,
    Mark,
    Output,
    Pull,
    Released,
    SourceTotal,
    TaskDone,
    Unpull,
    Unwant,
    Wait,
    Want,
)

sys.path.insert(0, str(Path(__file__).parents[4]))  # the fuzzing has the picture of a broker

from tests.fuzz.picture import picture

QUEUES = st.sampled_from(["a", "b", "c", "nowhere", ""])
NUMBERS = st.integers(0, 6) | st.sampled_from([4096, 2**31, 2**62 - 1])
WAITS = st.sampled_from(list(Wait))
FAILURE = Failure(kind="E", message="")


def many(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


OUTPUTS = st.builds(
    Output,
    queues=many(QUEUES),
    n=NUMBERS,
    size=st.just(8),
    packed=st.booleans(),
    counts=st.none() | many(NUMBERS),
)
COMMITS = st.builds(
    Commit,
    seq=st.integers(0, 3),
    finished=many(st.tuples(NUMBERS, NUMBERS)),
    marks=many(
        st.builds(Mark, at=NUMBERS, end=st.sampled_from(list(End)), failure=st.just(FAILURE))
    ),
    outputs=many(OUTPUTS),
    returned=many(st.tuples(QUEUES, NUMBERS)),
)
MESSAGES: st.SearchStrategy[FromWorker] = st.one_of(
    COMMITS,
    st.builds(
        Pull,
        pull=NUMBERS,
        queues=many(QUEUES),
        most=NUMBERS,
        least=NUMBERS,
        within_s=st.floats(),
        wait=WAITS,
        commit=st.none() | COMMITS,
    ),
    st.builds(Want, want=NUMBERS, queue=QUEUES, n=NUMBERS, least=NUMBERS, wait=WAITS),
    st.builds(Unpull, pull=NUMBERS),
    st.builds(Unwant, want=NUMBERS),
    st.builds(Released, lease=NUMBERS, kept=NUMBERS),
    st.builds(Ask, ask=NUMBERS, queue=QUEUES),
    st.builds(TaskDone, ask=NUMBERS, queue=QUEUES, n=NUMBERS),
    st.builds(SourceTotal, total=NUMBERS),
    st.builds(JoinQueue, ask=NUMBERS, queue=QUEUES, wait=WAITS),
)


def busy() -> FakeBroker:
    """A broker in the midst of work: leases, credits, waits, a parked commit."""
    run = FakeBroker(
        {"a": 4, "b": 2, "c": 0},
        job("src", "", "a"),
        job("map", "a", "b c"),
        job("snk", "b"),
        workers={"map": 2, "snk": 1},
    )
    run.put("src-1", "a", 4)
    held = run.lease("map-2", "a", 2)
    run.lease("map-1", "a", 2)
    run.commit("map-2", output("b", 2), done=[(held, 2)])
    run.pull("map-2", "a")
    run.want("map-1", "b", 2)
    run.pull("snk-1", "b", 1)
    return run


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(["src-1", "map-1", "snk-1"]), MESSAGES), max_size=8))
def test_what_is_refused_has_changed_nothing(said: list[tuple[str, FromWorker]]) -> None:
    run = busy()
    for worker, message in said:
        commit = message.commit if isinstance(message, Pull) else message
        outputs = commit.outputs if isinstance(commit, Commit) else ()
        before = picture(run.broker)
        event = Received(worker=worker, message=message, blobs=(bytes(8),) * len(outputs))
        try:
            run.tell(event)
        except ProtocolError:
            assert picture(run.broker) == before


@pytest.mark.parametrize(
    "message",
    [
        Pull(pull=1, queues=("a",), most=10**9, least=10**9),
        Pull(pull=1, queues=("a",), most=9, least=2, within_s=float("nan")),
        Pull(pull=1, queues=("a",), most=9, least=2, within_s=1e9),
        Want(want=1, queue="b", n=5000),
        TaskDone(ask=1, queue="d"),
        JoinQueue(ask=1, queue="d"),
        Ask(ask=1, queue="d"),
        Commit(seq=1, outputs=(Output(queues=(), n=8, size=8, packed=False, counts=(8,)),)),
        Commit(seq=1, outputs=(Output(queues=("b", "b"), n=1, size=8, packed=False, counts=(1,)),)),
        Commit(seq=1, outputs=(Output(queues=("b",), n=9, size=8, packed=False, counts=(9,)),)),
    ],
)
def test_more_than_a_worker_may_ask_for_or_put_is_a_breach(message: FromWorker) -> None:
    run = FakeBroker({"a": 4, "b": 0, "d": 1}, job("map", "a", "b"), job("other", "d", "d"))
    blobs = (bytes(8),) if isinstance(message, Commit) else ()
    with pytest.raises(ProtocolError):
        run.say("map-1", message, blobs)


@pytest.mark.parametrize("kind", ["pulls", "wants", "joins", "leases"])
def test_a_worker_has_so_many_requests_and_leases_open_and_no_more(kind: str) -> None:
    run = FakeBroker({"a": 100, "b": 1}, job("src", "", "a"), job("map", "a", "b", most_open=5))
    run.put("src-1", "a", 50 if kind == "leases" else 1)
    run.put("map-1", "b")
    if kind != "leases":
        run.lease("map-1", "a")

    def again(n: int) -> None:
        if kind == "wants":
            run.want("map-1", "b")
        elif kind == "joins":
            run.say("map-1", JoinQueue(ask=n, queue="a"))
        else:
            run.pull("map-1", "a")

    for n in range(5 + (kind == "leases")):
        again(n)
    with pytest.raises(ProtocolError):
        again(99)


def test_a_commit_of_another_workers_lease_is_refused_and_that_worker_is_as_before() -> None:
    run = FakeBroker(
        {"a": 9, "b": 9}, job("src", "", "a"), job("map", "a", "b"), workers={"map": 2}
    )
    run.put("src-1", "a", 4)
    lease = run.lease("map-1", "a", 2)
    run.commit("map-2", output("b", 2), done=[(lease, 2)])
    assert run.last("map-2", Committed).status is CommitStatus.REFUSED
    assert run.queue("b").put == 0
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    assert run.last("map-1", Committed).status is CommitStatus.APPLIED
