"""Items end without the lock: whatever happens meanwhile, each is booked once, with its outputs."""

import mmap
import pickle
import weakref
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.protocol.messages import (
    Commit,
    Committed,
    End,
    Grant,
    Leased,
    Range,
    Recall,
    Released,
    Want,
)
from orchestrator.ipc.cell import INDEX, Cell
from orchestrator.ipc.order import QueueInfo
from orchestrator.plan.model import ErrorAction, ErrorPolicy, JobPlan, Shape, Target, TerminatePlan
from orchestrator.worker import item_calls, single_call
from orchestrator.worker.blocks import dump_row
from orchestrator.worker.call_context import CallContext
from orchestrator.worker.chunks import load, unpack
from orchestrator.worker.client import Client
from orchestrator.worker.lease import Lease
from orchestrator.worker.stopping import StopSignal
from orchestrator.worker.transaction import Transaction

CREDITS = 7


class Broker:
    """The other end of the link: grants a few credits at a time and notes what is committed."""

    def __init__(self):
        self.commits = []
        self.others = []
        self._arrived = []

    def queue(self, message, blobs=()):
        match message:
            case Commit():
                self.commits.append((message, blobs))
                if message.awaited:
                    self._arrived.append(Committed(seq=message.seq, credits=(("b", 0),)))
            case Want():
                n = min(message.n, CREDITS)
                self._arrived.append(Grant(want=message.want, queue=message.queue, n=n))
            case _:
                self.others.append(message)

    def flush(self):
        pass

    def wait(self, timeout_s, **_options):
        assert self._arrived, "waits for an answer that nothing will bring"

    def receive(self):
        arrived, self._arrived = self._arrived, []
        return [(message, ()) for message in arrived]

    @property
    def outputs(self):
        """What each finished item has put, in order."""
        found = []
        for commit, chunks in self.commits:
            finished = sum(n for _, n in commit.finished)
            of_each = [[] for _ in range(finished)]
            for output, chunk in zip(commit.outputs, chunks, strict=True):
                values = unpack(load(chunk, packed=output.packed, start=0, stop=output.n))
                counts = [1] * finished if output.counts is None else output.counts
                taken = iter(values)
                for at, n in enumerate(counts):
                    of_each[at] += [next(taken) for _ in range(n)]
            found += of_each
        return found


class Worker:
    """A context whose target is `call`; `words` may be replaced to see each item begin.

    The next `prompt` items put are due at once, as after an idle spell. `copies`: see Outbox.
    """

    def __init__(
        self, call, *, output=True, shape=Shape.ITEM, on_error=None, prompt=0, copies=False
    ):
        self.broker = Broker()
        infos = {"b": QueueInfo(maxsize=100, chunk_items=5)}
        by_item = shape is Shape.ITEM
        self.client = Client(self.broker, infos, by_item=by_item, arm=lambda: None)
        self.cell = Cell(mmap.mmap(-1, mmap.PAGESIZE))
        job = JobPlan(
            name="map",
            target=Target(module="m", qualname="f"),
            shape=shape,
            inputs=("a",) if by_item else (),
            outputs=("b",) if output else (),
            terminate=TerminatePlan(signal=15),
            **({"on_error": on_error} if on_error else {}),
        )
        self.context = CallContext(
            job=job,
            client=self.client,
            stopper=StopSignal(15, self.client.connection),
            cell=self.cell,
            call=call,
            roots=(),
            place="",
            transaction=Transaction(self.client),
        )
        if self.context.outbox is not None:
            self.context.outbox.prompt = prompt
            self.context.outbox.copies = copies

    def lease(self, values, *, copied=False):
        blob = pickle.dumps(dump_row(list(values)) if copied else list(values))
        part = Range(start=0, stop=len(values), first=1, size=len(blob), packed=copied)
        message = Leased(pull=1, lease=1, queue="a", ranges=(part,))
        made = self.client.leases.by_number[1] = Lease(message, (blob,))
        return made

    def work(self, values, *, copied=False):
        made = self.lease(values, copied=copied)
        item_calls._items_of_lease(self.context, made)
        with self.client.connection.lock:
            self.client.commits.commit()
        return made

    def pace(self):
        """What the pacer does when its tick falls now, and everything waits since long."""
        with self.client.connection.lock:
            self.client.acks.book()
            self.client.commits.tick(float("inf"), 0.0)
            self.client.commits.be_prompt()

    def recall(self):
        with self.client.connection.lock:
            self.client.act(Recall(lease=1), ())


RESULTS = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sets(st.integers(), max_size=2),
    st.sampled_from([b"x" * 40_000, "y" * 60_000, ["z" * 40_000], ["z" * 20_000]]),
)
PROMPT = st.integers(0, 8)


@given(st.lists(st.tuples(RESULTS, st.booleans()), min_size=1, max_size=40), PROMPT, st.booleans())
def test_each_item_is_committed_once_with_what_it_gave_whenever_the_pacer_comes(
    story, prompt, copies
):
    def act(at):
        result, paced = story[at]
        if paced:
            worker.pace()
        return result

    worker = Worker(act, prompt=prompt, copies=copies)
    worker.work(range(len(story)), copied=copies)
    assert worker.broker.outputs == [[] if result is None else [result] for result, _ in story]


@given(st.lists(st.tuples(RESULTS, st.booleans()), max_size=40), PROMPT, st.booleans())
def test_a_source_emits_everything_in_order_whenever_the_pacer_comes(story, prompt, copies):
    def emit():
        for result, paced in story:
            if paced:
                worker.pace()
            yield result

    worker = Worker(emit, shape=Shape.SOURCE, prompt=prompt, copies=copies)
    single_call.run_once(worker.context)
    with worker.client.connection.lock:
        worker.client.commits.commit()
    chunks = [
        item
        for commit, blobs in worker.broker.commits
        for output, blob in zip(commit.outputs, blobs, strict=True)
        for item in unpack(load(blob, packed=output.packed, start=0, stop=output.n))
    ]
    assert chunks == [result for result, _ in story]


@pytest.mark.parametrize("copies", [False, True])
def test_a_result_changed_after_it_was_given_back_arrives_as_it_was(copies):
    kept = []

    def accumulate(item):
        kept.append(item)
        return kept

    worker = Worker(accumulate, copies=copies)
    worker.work(range(4))
    assert worker.broker.outputs == [[[0]], [[0, 1]], [[0, 1, 2]], [[0, 1, 2, 3]]]


def test_copied_results_leave_in_blocks():
    worker = Worker(lambda at: {"at": at}, copies=True)
    worker.work(range(20))
    assert worker.broker.outputs == [[{"at": at}] for at in range(20)]
    for commit, blobs in worker.broker.commits:
        for output, blob in zip(commit.outputs, blobs, strict=True):
            assert load(blob, packed=output.packed, start=0, stop=output.n).loaded


class Large:
    """Stands for what a target puts into its item: whoever holds that holds this."""


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_target_puts_into_an_item_lives_no_longer_than_the_next_call(fails):
    large, alive = [], []

    def call(item):
        alive.append(sum(ref() is not None for ref in large))
        item["large"] = each = Large()
        large.append(weakref.ref(each))
        if fails and item["at"] % 3 == 2:
            raise ValueError

    policy = ErrorPolicy(otherwise=ErrorAction.SKIP)
    worker = Worker(call, output=False, on_error=policy)
    worker.work([{"at": at} for at in range(30)], copied=True)
    assert len(alive) == 30
    assert max(alive) <= 2


def test_a_recall_during_an_item_leaves_that_item_and_takes_those_after_it():
    seen = []

    def call(item):
        seen.append(item)
        if item == 3:
            worker.recall()
        return item

    worker = Worker(call)
    worker.work(range(10))
    assert seen == [0, 1, 2, 3]
    assert Released(lease=1, kept=4) in worker.broker.others
    assert worker.broker.outputs == [[0], [1], [2], [3]]


class Words:
    """A progress cell at which something happens as soon as an item has begun."""

    def __init__(self, words, act):
        self._words = words
        self._act = act

    def __getitem__(self, at):
        return self._words[at]

    def __setitem__(self, at, value):
        self._words[at] = value
        if at == INDEX and value == 3:
            self._act()


def test_an_item_that_the_cell_names_when_a_recall_comes_is_kept_and_done():
    seen = []
    worker = Worker(seen.append)
    worker.context.cell = SimpleNamespace(
        name_slow=lambda place, name: None,
        words=Words(worker.cell.words, worker.recall),
        idle=worker.cell.idle,
    )
    worker.work(range(10))
    (released,) = [m for m in worker.broker.others if isinstance(m, Released)]
    assert seen == list(range(released.kept)) == [0, 1, 2, 3]


def test_what_has_ended_is_committed_while_the_next_item_takes_its_time():
    def call(item):
        if item == 4:
            worker.pace()
            assert sum(n for commit, _ in worker.broker.commits for _, n in commit.finished) == 4

    worker = Worker(call, output=False)
    worker.work(range(6))
    assert worker.broker.outputs == [[]] * 6


def test_a_sleeping_pacer_is_woken_by_the_first_item_that_begins():
    armed = []

    def call(item):
        if item == 1:
            # what the flusher leaves behind when it goes to sleep
            worker.client.connection.attention = True
            armed.clear()

    worker = Worker(call, output=False)
    worker.client.acks._arm = lambda: armed.append(worker.cell.words[INDEX])
    worker.work(range(4))
    assert armed[0] == 2


def test_an_item_that_fails_is_marked_and_its_neighbours_are_not():
    def call(item):
        if item == 2:
            raise ValueError(item)
        return item

    worker = Worker(call, on_error=ErrorPolicy(otherwise=ErrorAction.SKIP))
    worker.work(range(5))
    marks, before = [], 0
    for commit, _ in worker.broker.commits:
        marks += [(before + mark.at, mark.end) for mark in commit.marks]
        before += sum(n for _, n in commit.finished)
    assert marks == [(2, End.SKIPPED)]
    assert worker.broker.outputs == [[0], [1], [], [3], [4]]


def test_a_generator_s_items_belong_to_the_item_it_came_from():
    def call(item):
        return (n for n in range(item)) if item % 2 else item

    worker = Worker(call)
    worker.work(range(6))
    assert worker.broker.outputs == [[0], [0], [2], [0, 1, 2], [4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("stop_at", [0, 2, 5])
def test_a_source_that_is_told_to_stop_is_asked_for_nothing_more(stop_at):
    asked = []

    def emit():
        for n in range(20):
            asked.append(n)
            if n == stop_at:
                worker.client.stop_asked = worker.client.connection.attention = True
            yield n

    worker = Worker(emit, shape=Shape.SOURCE, prompt=0)
    single_call.run_once(worker.context)
    assert asked == list(range(stop_at + 1))
