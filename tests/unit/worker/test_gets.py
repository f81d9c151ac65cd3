"""A worker tells in which order its target gets items of several queues."""

from types import SimpleNamespace

import pytest

from orchestrator.core.protocol.messages import Commit
from orchestrator.worker.client import Client
from orchestrator.worker.handle import QueueHandle
from orchestrator.worker.replay import Gets
from orchestrator.worker.transaction import Transaction

pytestmark = pytest.mark.pure_only  # its leases are stand-ins


def lease(queue: str) -> SimpleNamespace:
    return SimpleNamespace(queue=queue, started=0)


def get(gets: Gets, one: SimpleNamespace, n: int = 1) -> None:
    gets.switch(one)
    one.started += n


def test_items_are_told_by_queue_in_the_order_in_which_they_were_got() -> None:
    gets, a, b = Gets(), lease("a"), lease("b")
    for one, n in ((a, 2), (b, 1), (a, 1), (a, 3)):
        get(gets, one, n)
    assert gets.take() == (("a", 2), ("b", 1), ("a", 4))
    assert gets.take() == ()


def test_a_lease_that_goes_on_is_counted_from_the_last_commit() -> None:
    gets, a = Gets(), lease("a")
    get(gets, a, 2)
    assert gets.take() == (("a", 2),)
    get(gets, a)
    assert gets.take() == (("a", 1),)


def test_an_end_is_told_once_and_where_it_came() -> None:
    gets, a = Gets(), lease("a")
    get(gets, a)
    gets.end("b")
    gets.end("b")
    get(gets, a)
    assert gets.take() == (("a", 1), ("b", 0), ("a", 1))


def test_what_a_transaction_got_is_not_told_once_it_is_rolled_back() -> None:
    gets, a, b = Gets(), lease("a"), lease("b")
    get(gets, a, 2)
    undo = gets.mark()
    get(gets, a)
    get(gets, b)
    gets.end("b")
    undo()
    a.started = 2
    get(gets, a)
    assert gets.take() == (("a", 2), ("b", 0), ("a", 1)), "an end that was told stays told"


@pytest.mark.parametrize("told", [True, False])
def test_only_who_must_repeat_himself_tells(told: bool) -> None:
    sent = []
    link = SimpleNamespace(queue=lambda message, blobs=(): sent.append(message), flush=list)
    client = Client(link, {}, by_item=False, arm=list, gets=Gets() if told else None)
    handle = QueueHandle("a", client, Transaction(client), holder="a", reads=True, writes=False)
    one = SimpleNamespace(number=1, queue="a", started=0, finished=0, limit=3, total=3)
    one.take = lambda: (setattr(one, "started", one.started + 1), False)
    handle._prefetch._leases.append(one)
    for _ in range(3):
        handle.get()
    with client.connection.lock:
        client.commits.commit()
    assert [m.got for m in sent if isinstance(m, Commit)] == [(("a", 3),) if told else ()]
