"""Queues that come and go, and the rule that to return from `get` is an item's ack."""

from fake_broker import FakeBroker, job, output

from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.events import WorkerLeft
from orchestrator.core.protocol.messages import Grant, Leased, Pull, Wait, Want


def two_processes(maxsize: int = 0) -> FakeBroker:
    return FakeBroker({"q": maxsize}, job("all", "q", "q"), workers={"all": 2}, ack_on_get=True)


def test_a_queue_added_later_is_read_and_written_like_the_others() -> None:
    run = two_processes()
    late = QueueState("late", 0, ("all",), ("all",))
    run.broker.add_queue(late, run.broker.jobs["all"])
    run.commit("all-1", output("late", 2, (2,)))
    run.lease("all-2", "late", 2)
    assert late.queued == 0


def test_a_removed_queue_takes_its_items_leases_and_credits_with_it() -> None:
    run = two_processes()
    run.want("all-1", "q")
    run.commit("all-1", output("q", 3, (3,)))
    run.lease("all-2", "q", 1)
    run.broker.remove_queue("q", run.broker.jobs["all"])
    assert not run.broker.queues
    assert not run.port("all-2").leases
    run.tell(WorkerLeft(worker="all-1", returned=True))
    run.tell(WorkerLeft(worker="all-2", returned=True))
    assert not run.broker.clients


def test_a_process_counts_as_a_reader_from_its_first_pull_on() -> None:
    run = two_processes()
    run.commit("all-1", output("q", 10, (10,)))
    run.say("all-2", Pull(pull=1, queues=("q",), most=10))
    (piece,) = run.last("all-2", Leased).ranges
    assert piece.stop == 10, "all-1 has never read: nothing is kept back for it"


def test_the_item_somebody_waits_for_leaves_the_queue_with_its_lease() -> None:
    run = two_processes(maxsize=1)
    run.commit("all-1", output("q", 1, (1,)))
    run.lease("all-2", "q")
    assert run.queue("q").size == 0
    run.say("all-1", Want(want=1, queue="q", wait=Wait.NO))
    assert run.last("all-1", Grant).n == 1


def test_what_was_fetched_ahead_counts_until_get_has_returned_it() -> None:
    run = two_processes()
    run.commit("all-1", output("q", 8, (8,)))
    lease = run.lease("all-2", "q", 8)
    assert run.queue("q").size == 7
    run.broker.note_taken("all-2", [(lease, 5)])
    assert run.queue("q").size == 3
    run.commit("all-2", done=[(lease, 4)])
    assert run.queue("q").size == 3, "the note is ahead of the commit"
    run.commit("all-2", done=[(lease, 4)])
    assert run.queue("q").size == 0


def test_what_was_fetched_ahead_and_not_returned_goes_to_the_others() -> None:
    run = two_processes()
    run.commit("all-1", output("q", 8, (8,)))
    lease = run.lease("all-2", "q", 8)
    run.tell(WorkerLeft(worker="all-2", returned=True, taken=((lease, 5),)))
    assert run.counts("q") == {"put": 8, "done": 5}
    run.lease("all-1", "q", 8)
    (piece,) = run.last("all-1", Leased).ranges
    assert piece.first == 6
