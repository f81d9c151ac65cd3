"""What is put first after an idle spell leaves at once; what follows closely is gathered."""

import threading

import pytest
from test_window import CREDITS, Shape, Worker, single_call

from orchestrator.ipc.order import QueueInfo
from orchestrator.worker import commits
from orchestrator.worker.client import Client
from orchestrator.worker.errors import LinkClosedError
from orchestrator.worker.flusher import Flusher
from orchestrator.worker.handle import QueueHandle
from orchestrator.worker.transaction import Transaction

FIRST = 8
"""So many leave one by one."""


class Putting:
    """A writer's handle, over a link that grants what is asked for."""

    def __init__(self, soft_share=0):
        self.hurried = 0
        self.worker = Worker(lambda: None, shape=Shape.SOURCE, output=False)
        self.client = Client(
            self.worker.broker,
            {"b": QueueInfo(maxsize=1000, chunk_items=100, soft_share=soft_share)},
            by_item=False,
            arm=lambda: None,
            hurry=self._note,
        )
        self.handle = QueueHandle(
            "b", self.client, Transaction(self.client), holder="job", reads=False, writes=True
        )
        outbox = self.client.outbox(("b",))
        outbox.grant("b", 1000)

    def _note(self):
        self.hurried += 1

    def put(self, n):
        for item in range(n):
            self.handle.put(item)

    def pace(self):
        with self.client.connection.lock:
            self.client.commits.tick(float("inf"), 0.0)
            self.client.commits.be_prompt()

    @property
    def sizes(self):
        """How many items each commit had."""
        return [sum(o.n for o in commit.outputs) for commit, _ in self.worker.broker.commits]


@pytest.mark.parametrize("n", [1, 5, FIRST])
def test_a_few_puts_have_left_when_put_returns(n):
    putting = Putting()
    putting.put(n)
    assert putting.sizes == [1] * n
    assert not putting.hurried


def test_a_burst_is_gathered_and_the_pacer_asked_for_its_tail():
    putting = Putting()
    putting.put(FIRST + 250)
    assert putting.sizes == [1] * FIRST + [100, 100]
    assert putting.hurried == 3  # with the first of each chunk
    putting.pace()
    assert putting.sizes[-1] == 50


def test_after_an_idle_spell_puts_leave_one_by_one_again():
    putting = Putting()
    putting.put(FIRST + 3)
    putting.pace()
    putting.put(2)
    assert putting.sizes == [1] * FIRST + [3, 1, 1]


def carry(putting):
    """What a `get` that waits does with what was put."""
    with putting.client.connection.lock:
        return putting.client.commits.carry()


def test_who_puts_little_between_two_gets_puts_each_at_once_and_needs_no_pacer():
    putting = Putting()
    for _ in range(3 * FIRST):
        putting.put(1)
        assert carry(putting) is None
    assert putting.sizes == [1] * 3 * FIRST
    assert not putting.hurried


def test_who_puts_much_between_two_gets_is_in_a_burst_still():
    putting = Putting()
    putting.put(FIRST + 1)
    commit, _ = carry(putting)
    assert [output.n for output in commit.outputs] == [1]
    putting.put(1)
    assert putting.sizes == [1] * FIRST
    assert putting.hurried == 2


def test_who_waits_for_room_is_not_idle_and_puts_chunks_then(monkeypatch):
    """Else each item would go alone, use up what was granted, and wait again."""
    putting = Putting()
    waits = []
    monkeypatch.setattr(commits.time, "monotonic", lambda: 100.0 + len(waits))
    read = putting.worker.broker.wait

    def wait(*args, **keys):
        putting.client.commits.be_prompt()  # the pacer sees that nothing moves
        waits.append(read(*args, **keys))  # for a second

    monkeypatch.setattr(putting.worker.broker, "wait", wait)
    putting.client.outbox(("b",)).set_credits("b", 0)
    putting.put(3 * CREDITS)
    assert putting.sizes == [1] * CREDITS + [CREDITS] * 2


def test_a_slow_answer_to_the_first_question_is_no_wait_for_room(monkeypatch):
    """What is put then may be awaited, and would be lost if its process ended at once."""
    putting = Putting()
    waits = []
    monkeypatch.setattr(commits.time, "monotonic", lambda: 100.0 + len(waits))
    read = putting.worker.broker.wait
    monkeypatch.setattr(
        putting.worker.broker, "wait", lambda *args, **keys: waits.append(read(*args, **keys))
    )
    putting.client.outbox(("b",)).set_credits("b", 0)
    putting.put(3)
    assert waits
    assert putting.sizes == [1] * 3


def test_what_is_put_in_a_transaction_does_not_leave_before_its_end():
    putting = Putting()
    with putting.handle._transaction.scope():
        putting.put(3)
        putting.pace()
        assert putting.sizes == []
    assert putting.sizes == [3]


def test_what_is_put_while_an_item_is_in_hand_but_not_yet_acknowledged_leaves_at_once():
    putting = Putting()
    with putting.client.connection.lock:
        putting.client.acks.note_unsent()  # as the end of an item that another handle has got
    putting.put(1)
    assert putting.sizes == [1]


def test_an_item_job_commits_its_first_results_one_by_one():
    worker = Worker(lambda item: item, prompt=3)
    worker.work(range(6))
    sizes = [sum(o.n for o in commit.outputs) for commit, _ in worker.broker.commits]
    assert sizes[:3] == [1, 1, 1] < sizes[3:]
    assert worker.broker.outputs == [[item] for item in range(6)]


@pytest.mark.pure_only
def test_an_item_job_that_hardly_ever_gives_anything_is_not_slowed_down_by_waiting_for_it():
    """Eight items pass one by one; then the lock is taken once for many."""
    opened = []
    worker = Worker(lambda item: item if item == 50 else None, prompt=FIRST)
    begin = worker.client.acks.open_window
    worker.client.acks.open_window = lambda window: (opened.append(window.n), begin(window))
    worker.work(range(100))
    assert opened[: FIRST + 1] == [1] * FIRST + [5]
    assert worker.broker.outputs == [[50] if item == 50 else [] for item in range(100)]


def test_a_result_after_an_idle_spell_leaves_before_the_next_item_is_begun():
    def call(item):
        if item == 2:
            worker.pace()  # nothing has ended for a while
        if item == 3:
            left.extend(worker.broker.outputs)
        return item

    left = []
    worker = Worker(call)
    worker.work(range(5))
    assert left == [[0], [1], [2]]


def test_what_a_source_yields_after_an_idle_spell_leaves_before_it_is_asked_for_more():
    def emit():
        yield from range(2)
        worker.pace()
        yield 2
        left.extend(n for commit, _ in worker.broker.commits for n in commit.outputs)
        yield 3

    left = []
    worker = Worker(emit, shape=Shape.SOURCE)
    single_call.run_once(worker.context)
    assert [output.n for output in left] == [2, 1]


class Alarm:
    """A link whose bell can be waited for."""

    def __init__(self, broker):
        self._broker = broker
        self.rung = threading.Semaphore(0)
        self.is_cut = False
        self.flushed = threading.Event()

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def wake(self):
        self.rung.release()

    def hush(self):
        pass

    def sleep(self, timeout_s):
        self.rung.acquire(timeout=timeout_s)
        if self.is_cut:
            raise LinkClosedError("cut")

    def wait(self, timeout_s, **_options):
        self.sleep(timeout_s)

    def flush(self):
        self.flushed.set()


@pytest.mark.pure_only
def test_a_pacer_that_is_asleep_sends_the_tail_of_a_burst():
    putting, flusher = Putting(), Flusher()
    link = Alarm(putting.worker.broker)
    putting.client.connection.link = link
    for part in (putting.client, putting.client.acks, putting.client.commits):
        part._hurry, part._arm = flusher.hurry, flusher.arm
    with putting.client.connection.lock:
        flusher.start(putting.client)
    putting.put(FIRST + 3)
    link.flushed.clear()
    done = 0
    while done < FIRST + 3:
        assert link.flushed.wait(10), "the tail has not left"
        link.flushed.clear()
        with putting.client.connection.lock:
            done = sum(putting.sizes)
    link.is_cut = True  # ends the pacer
    link.wake()


def test_at_a_soft_bound_credit_that_heavy_items_would_use_up_goes_back_with_the_first():
    putting = Putting(soft_share=1_000_000)
    putting.put(100)
    assert not any(commit.returned for commit, _ in putting.worker.broker.commits)
    held = putting.client.outbox(("b",)).credits.of["b"]
    putting.handle.put(bytes(250_000))
    ((_, given),) = putting.worker.broker.commits[-1][0].returned
    left = putting.client.outbox(("b",)).credits.of["b"]
    assert 3 <= left <= 5
    assert given == held - 92 - 1 - left, "ninety-two had not left yet"
    putting.handle.put(bytes(250_000))
    assert not putting.worker.broker.commits[-1][0].returned


def test_light_items_keep_all_credit_at_a_soft_bound():
    putting = Putting(soft_share=1_000_000)
    for _ in range(5):
        putting.put(100)
    assert not any(commit.returned for commit, _ in putting.worker.broker.commits)
