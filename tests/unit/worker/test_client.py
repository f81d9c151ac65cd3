"""The worker's client, over a link whose other end is a list of frames."""

import gc
import pickle
import threading
import time
import weakref
from contextlib import contextmanager

import pytest

from orchestrator.core.protocol.messages import (
    Closing,
    Commit,
    CommitStatus,
    Committed,
    Failure,
    Grant,
    Leased,
    Pull,
    Range,
    Recall,
    Released,
    Wait,
    Want,
)
from orchestrator.ipc.order import QueueInfo
from orchestrator.worker.client import Client
from orchestrator.worker.errors import NoRoomError
from orchestrator.worker.lease import Lease

CHUNK = pickle.dumps(["item"])


class Script:
    """A link that answers the n-th pull with the n-th list of messages, all in one read."""

    def __init__(self, *answers):
        self.sent = []
        self._answers = list(answers)
        self._arrived = []

    def queue(self, message, blobs=()):
        self.sent.append(message)
        if isinstance(message, Pull):
            self._arrived += [(answer, (CHUNK,)) for answer in self._answers.pop(0)]

    def flush(self):
        pass

    def wake(self):
        pass

    def wait(self, timeout_s, **_options):
        assert self._arrived, "waits for an answer that nothing will bring"

    def receive(self):
        arrived, self._arrived = self._arrived, []
        return arrived


def lease(number, *, pull):
    ranges = (Range(start=0, stop=1, first=number, size=len(CHUNK), packed=False),)
    return Leased(pull=pull, lease=number, queue="a", ranges=ranges)


@pytest.fixture
def client():
    def made(link):
        return Client(link, {}, by_item=True, arm=lambda: None)

    return made


def test_a_lease_recalled_before_it_was_begun_is_given_back_and_asked_for_again(client):
    link = Script([lease(1, pull=1), Recall(lease=1)], [lease(2, pull=2)])
    one = client(link)
    with one.connection.lock:
        assert one.pull(("a",), most=10).number == 2
    assert Released(lease=1, kept=0) in link.sent


class Answering(Script):
    """A link that answers each commit that waits for its answer."""

    def queue(self, message, blobs=()):
        super().queue(message, blobs)
        if isinstance(message, Commit) and message.awaited:
            answer = Committed(seq=message.seq, credits=(("b", 0),))
            self._arrived.append((answer, ()))


def test_more_outputs_of_one_item_than_a_queue_holds_leave_in_parts_whoever_puts_them():
    link, waits = Answering(), []

    @contextmanager
    def waiting():
        waits.append("begun")
        yield
        waits.append("over")

    one = Client(link, {"b": QueueInfo(maxsize=3, chunk_items=1)}, by_item=True, arm=lambda: None)
    one.commits.waiting = waiting
    with one.connection.lock:
        outbox = one.outbox(("b",))
        for n in range(7):
            one.commits.put(outbox, n)
    assert [output.n for commit in link.sent for output in commit.outputs] == [3, 3]
    assert waits == ["begun", "over"] * 2


def test_who_never_waits_for_credit_fills_a_chunk_before_a_commit_has_to_wait(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)  # a wait that took long would be told by it
    link = Answering()
    one = Client(link, {"b": QueueInfo(maxsize=40, chunk_items=10)}, by_item=True, arm=lambda: None)
    ranges = (Range(start=0, stop=25, first=1, size=len(CHUNK), packed=False),)
    held = Lease(Leased(pull=1, lease=1, queue="a", ranges=ranges), (pickle.dumps([0] * 25),))
    with one.connection.lock:
        outbox = one.outbox(("b",), overdraws=True)
        for n in range(25):
            one.commits.put(outbox, n)
            one.acks.finish(held)
            if one.outboxes.is_due:
                one.commits.commit()
        one.commits.commit()
    at_once = [1] * 8  # what is put first
    assert [output.n for commit in link.sent for output in commit.outputs] == [*at_once, 10, 7]


@pytest.mark.parametrize(("credit", "sent"), [(3, 10), (4, 10), (5, 5), (9, 9), (10, 10)])
def test_a_chunk_that_its_credits_cover_by_half_leaves_without_waiting(credit, sent):
    one = Client(
        Answering(), {"b": QueueInfo(maxsize=40, chunk_items=10)}, by_item=True, arm=lambda: None
    )
    with one.connection.lock:
        outbox = one.outbox(("b",), overdraws=True)
        outbox.prompt = 0
        outbox.grant("b", credit)
    assert outbox.due == sent


class Full(Script):
    """A link that answers each commit that waits for its answer: there was no room in time."""

    def queue(self, message, blobs=()):
        super().queue(message, blobs)
        if isinstance(message, Commit) and message.awaited:
            answer = Committed(seq=message.seq, status=CommitStatus.FULL, full="b")
            self._arrived.append((answer, ()))


def test_who_is_told_that_there_was_no_room_commits_nothing_more_and_ends():
    link = Full()
    one = Client(link, {"b": QueueInfo(maxsize=3, chunk_items=1)}, by_item=True, arm=lambda: None)
    failure = Failure(kind="orchestrator.QueueFullError", message="full")
    with one.connection.lock:
        outbox = one.outbox(("b",))
        with pytest.raises(NoRoomError) as told:
            for n in range(7):
                one.commits.put(outbox, n)
        assert told.value.queue == "b"
        for again in (one.commits.commit, one.retire, lambda: one.pull(("a",), most=1)):
            with pytest.raises(NoRoomError):
                again()
        one.close(failure, stopped=False)
    assert sum(isinstance(message, Commit) for message in link.sent) == 1
    assert link.sent[-1] == Closing(failure=failure)


def test_who_is_told_so_by_its_last_commit_closes_all_the_same():
    """The core has failed its job already."""
    link = Full()
    one = Client(link, {"b": QueueInfo(maxsize=3, chunk_items=1)}, by_item=True, arm=lambda: None)
    held = Lease(lease(1, pull=1), (CHUNK,))
    with one.connection.lock:
        one.commits.put(one.outbox(("b",)), 1)
        one.acks.finish(held)
        one.close(None, stopped=True)
    assert link.sent[-1] == Closing(stopped=True)


class Paced(Script):
    """A link on which the pacer gives credits back while the last commit waits for its answer."""

    def __init__(self):
        super().__init__()
        self.client = None

    def wait(self, timeout_s, **_options):
        last = next(m for m in self.sent if isinstance(m, Commit) and m.awaited)
        if self.sent[-1] is last:
            self.client.commits.return_credits()  # finds them used just now,
            self.client.commits.return_credits()  # and unused since
            assert self.sent[-1] is not last, "the pacer has sent nothing"
            self._arrived.append((Committed(seq=last.seq), ()))
        super().wait(timeout_s)


def test_a_commit_of_the_pacer_after_the_last_one_does_not_keep_a_worker_from_closing():
    link = Paced()
    one = link.client = Client(
        link, {"b": QueueInfo(maxsize=9, chunk_items=4)}, by_item=False, arm=lambda: None
    )
    with one.connection.lock:
        outbox = one.outbox(("b",))
        outbox.grant("b", 5)
        one.commits.put(outbox, "item")
        one.close(None, stopped=False)
    assert isinstance(link.sent[-1], Closing)


class Advancing(Script):
    """A link on which credit given in advance comes just before the refusal of more."""

    def queue(self, message, blobs=()):
        super().queue(message, blobs)
        if isinstance(message, Want):
            self._arrived.append((Grant(want=0, queue="b", n=5), ()))
            self._arrived.append((Grant(want=message.want, queue="b", n=0), ()))


def test_who_cannot_wait_may_use_credit_that_has_come_in_advance():
    one = Client(
        Advancing(), {"b": QueueInfo(maxsize=9, chunk_items=5)}, by_item=False, arm=lambda: None
    )
    with one.connection.lock:
        outbox = one.outbox(("b",))
        assert one.wait_for_credit(outbox, wait=Wait.NO)
        assert outbox.limit == 5


@pytest.mark.parametrize(
    "message",
    [
        Grant(want=0, queue="b", n=1),
        Committed(seq=0, credits=(("b", 1),)),
    ],
    ids=["granted", "left by a commit"],
)
def test_credit_that_comes_while_the_pacer_sleeps_wakes_it(message):
    """A worker that waits for another queue would keep it for ever, and others wait for it."""
    armed = []
    one = Client(
        Script(),
        {"b": QueueInfo(maxsize=9, chunk_items=3)},
        by_item=True,
        arm=lambda: armed.append(True),
    )
    outbox = one.outbox(("b",))
    before = one.progress
    with one.connection.lock:
        one.act(message, ())
    assert outbox.credits.of == {"b": 1}
    assert armed
    assert one.progress != before, "a pacer about to sleep stays awake"
    with one.connection.lock:
        one.commits.return_credits()
    assert [m.returned for m in one.connection.link.sent if isinstance(m, Commit)] == [(("b", 1),)]


@pytest.mark.parametrize("returns", [True, False])
def test_credit_for_a_queue_that_has_no_outbox_is_returned_where_queues_come_and_go(returns):
    one = Client(Script(), {}, by_item=False, arm=lambda: None, returns_strays=returns)
    with one.connection.lock:
        one.act(Grant(want=0, queue="gone", n=5), ())
    sent = [m.returned for m in one.connection.link.sent if isinstance(m, Commit)]
    assert sent == ([(("gone", 5),)] if returns else [])


def test_what_a_commit_holds_is_told_before_it_is_sent():
    link, told = Script(), []
    one = Client(
        link,
        {"b": QueueInfo(maxsize=9, chunk_items=5)},
        by_item=False,
        arm=lambda: None,
        on_commit=lambda outputs: told.append(([o.n for o in outputs], len(link.sent))),
    )
    with one.connection.lock:
        outbox = one.outbox(("b",))
        outbox.grant("b", 9)
        for n in range(2):
            one.commits.put(outbox, n)
    assert told == [([1], 0), ([1], 1)]


@pytest.mark.parametrize(("sees", "asked"), [(True, Wait.TIMED), (False, Wait.FOREVER)])
def test_a_wait_that_another_thread_could_end_is_for_ever_only_where_nobody_looks_for_a_stall(
    sees, asked
):
    link = Script([lease(1, pull=1)])
    one = Client(link, {}, by_item=False, arm=lambda: None, sees_stalls=sees)
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    with one.connection.lock:
        one.pull(("a",), most=1)
    over.set()
    for thread in threads:
        thread.join()
    assert link.sent[0].wait is asked


def test_a_client_whose_connection_is_closed_is_freed_without_a_collector():
    link = Script()
    link.close = lambda: None
    one = Client(link, {}, by_item=False, arm=(arm := lambda: None))
    gone = weakref.ref(arm)  # which it alone has; a compiled object takes no weak reference
    del arm
    gc.disable()
    try:
        one.connection.close()
        del one
        assert gone() is None
    finally:
        gc.enable()


def test_a_commit_that_a_request_carries_goes_before_it_if_it_has_to_wait():
    """Its answer says what credit is left: the pull must not wait with that unknown."""
    link = Answering([lease(1, pull=1)])
    one = Client(link, {"b": QueueInfo(maxsize=3, chunk_items=3)}, by_item=True, arm=lambda: None)
    held = Lease(lease(9, pull=9), (CHUNK,))
    with one.connection.lock:
        one.commits.put(one.outbox(("b",)), "more than there is credit for")
        one.acks.finish(held)
        assert one.pull(("a",), most=1).number == 1
    assert [type(message) for message in link.sent] == [Commit, Pull]
    assert link.sent[1].commit is None
