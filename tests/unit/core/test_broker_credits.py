"""Credits: leave to put, given in advance while there is plenty, else asked for (rule 4)."""

from __future__ import annotations

from fake_broker import FakeBroker, job, output

from orchestrator.core.messages import Committed, Grant


def test_a_worker_whose_commit_is_parked_holds_no_credit_that_others_wait_for() -> None:
    run = FakeBroker(
        {"a": 10, "b": 1, "c": 4},
        job("src", writes="a"),
        job("map", reads="a", writes="b c"),
        job("other", writes="c"),
        job("snk", reads="b c"),
    )
    run.put("src-1", "a", 3)
    lease = run.lease("map-1", "a", 3)
    run.want("map-1", "c", 4)
    run.want("other-1", "c", 1)
    assert not run.got("other-1", Grant)
    run.commit("map-1", output("b", 2), done=[(lease, 2)])
    assert run.last("other-1", Grant).n == 1
    run.lease("snk-1", "b", 1)
    assert dict(run.last("map-1", Committed).credits) == {"b": 0, "c": 0}
