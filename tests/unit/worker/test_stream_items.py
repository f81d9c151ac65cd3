"""A stream's items are taken without the lock: each is the worker's or given back, never both."""

import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_window import Worker

from orchestrator.core.protocol.messages import Released
from orchestrator.plan.model import Shape
from orchestrator.worker.errors import InconsistentError
from orchestrator.worker.single_call import Items
from orchestrator.worker.stopping import StopRequested

pytestmark = pytest.mark.pure_only  # replaces methods of clients

N = 8
EVENT = st.sampled_from(["", "", "", "", "pace", "recall", "signal", "attention"])


class Large:
    """Stands for what a target puts into its item: whoever holds that holds this."""


class Between:
    """The run's iterator, with something happening before and after each item is taken."""

    def __init__(self, values, happen):
        self._values, self._happen = values, happen

    def __iter__(self):
        return self

    def __next__(self):
        self._happen("before")
        item = next(self._values)
        self._happen("after")
        return item


class Stream:
    """A worker of a stream job with one lease of N items, and then the end."""

    def __init__(self, story=(), *, copied=False):
        self.worker = Worker(lambda: None, shape=Shape.STREAM, output=False)
        self.client = self.worker.client
        self.items = Items(self.worker.context)
        self.items._lease = self.worker.lease(range(N), copied=copied)
        self.client.pull = lambda *_args, **_keys: None
        self._story = list(story)
        open_run = self.items._open

        def opened(lease):
            open_run(lease)
            self.items._values = Between(self.items._values, self._happen)

        self.items._open = opened

    def _happen(self, when):
        event = self._story.pop(0) if self._story else ""
        if event == "pace":
            self.worker.pace()
        elif event == "recall" and self.items._lease.limit == N:
            self.worker.recall()
        elif event == "attention":
            self.client.connection.attention = True
        elif event == "signal":
            self.worker.context.stopper._on_signal(15, None)

    def seen(self):
        """What a target gets that goes on after a stop has come."""
        seen = []
        while True:
            try:
                seen += [item] if (item := next(self.items, None)) is not None else []
                if item is None:
                    return seen
            except StopRequested:
                seen.append("stop")

    def commit(self):
        with self.client.connection.lock:
            self.items.finish()
            self.client.commits.commit()

    @property
    def finished(self):
        return sum(n for commit, _ in self.worker.broker.commits for _, n in commit.finished)

    @property
    def kept(self):
        released = [m.kept for m in self.worker.broker.others if isinstance(m, Released)]
        assert len(released) <= 1
        return released[0] if released else N


@given(st.lists(EVENT, max_size=2 * N), st.booleans())
def test_what_is_not_given_back_is_seen_once_and_finished_whatever_comes_between(story, copied):
    stream = Stream(story, copied=copied)
    seen = stream.seen()
    stream.commit()
    assert [item for item in seen if item != "stop"] == list(range(stream.kept))
    assert stream.finished == stream.kept
    assert seen.count("stop") <= 1


@pytest.mark.parametrize("at", range(1, 2 * N - 2))
def test_a_stop_signal_is_raised_by_the_advance_it_comes_in(at):
    stream = Stream([""] * at + ["signal"])
    seen = stream.seen()
    assert seen.index("stop") == 1 + at // 2, "the item that was being taken comes after the stop"


@pytest.mark.parametrize("copied", [False, True])
def test_an_item_is_finished_when_the_iterator_advances_past_it_and_not_before(copied):
    stream = Stream(copied=copied)
    for n in range(N):
        assert next(stream.items) == n
        stream.worker.pace()
        assert stream.finished == n
    stream.commit()
    assert stream.finished == N


@pytest.mark.parametrize("copied", [False, True])
def test_an_exception_while_an_item_is_taken_ends_the_worker_rather_than_losing_it(copied):
    stream = Stream(copied=copied)
    next(stream.items)
    taken = stream.items._values

    def interrupted(when):
        if when == "after":
            raise KeyboardInterrupt

    taken._happen = interrupted
    with pytest.raises(KeyboardInterrupt):
        next(stream.items)
    with pytest.raises(InconsistentError):
        next(stream.items)
    with pytest.raises(InconsistentError):
        stream.commit()


@pytest.mark.parametrize("copied", [False, True])
def test_threads_and_the_main_thread_share_a_stream_and_none_sees_an_item_of_another(copied):
    stream, seen = Stream(copied=copied), []
    for turn in range(N):
        if turn % 3 == 1:
            thread = threading.Thread(target=lambda: seen.append(next(stream.items)))
            thread.start()
            thread.join()
        else:
            seen.append(next(stream.items))
    stream.commit()
    assert seen == list(range(N))
    assert stream.finished == N


@pytest.mark.parametrize("copied", [False, True])
def test_inside_a_transaction_items_are_taken_with_the_lock_and_come_back_if_it_fails(copied):
    stream = Stream(copied=copied)
    assert [next(stream.items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError), stream.worker.context.transaction.scope():
        assert [next(stream.items) for _ in range(2)] == [3, 4]
        raise ValueError
    assert stream.kept == 3
    stream.worker.pace()
    assert stream.finished == 2


def test_what_a_target_puts_into_an_item_lives_no_longer_than_the_target_wants():
    stream, alive = Stream(), []
    stream.items._lease = stream.worker.lease([{"at": at} for at in range(N)], copied=True)

    for item in stream.items:
        item["large"] = Large()
        alive.append(weakref.ref(item["large"]))
        del item
        assert [ref() for ref in alive] == [None] * len(alive)
        if len(alive) == N:
            break
