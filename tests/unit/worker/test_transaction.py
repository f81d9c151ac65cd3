"""A transaction that is rolled back leaves no trace in its worker, whatever it has done."""

import contextlib
import pickle
import queue
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from forms import attributes

from orchestrator.core.protocol.messages import (
    Commit,
    Committed,
    Ended,
    Grant,
    Leased,
    NoLease,
    Pull,
    Range,
    Recall,
    Released,
    Wait,
    Want,
)
from orchestrator.errors import EndOfStream, WouldWaitError
from orchestrator.ipc.order import Emitted, QueueInfo
from orchestrator.worker.acks import AckCounter, Acks
from orchestrator.worker.chunks import ItemRun
from orchestrator.worker.client import Client
from orchestrator.worker.commits import Commits
from orchestrator.worker.connection import Connection
from orchestrator.worker.credits import QueueCredits
from orchestrator.worker.handle import Prefetch, QueueHandle
from orchestrator.worker.lease import Lease, Leases
from orchestrator.worker.outbox import Outbox, Outboxes
from orchestrator.worker.replay import Gets, ReplayCheck, ReplayChecks, digest_of
from orchestrator.worker.transaction import Transaction

OURS = (
    Client,
    Connection,
    Outboxes,
    Outbox,
    QueueCredits,
    Acks,
    AckCounter,
    Leases,
    Lease,
    Commits,
    Transaction,
    QueueHandle,
    Prefetch,
    ItemRun,
    ReplayChecks,
    ReplayCheck,
    Gets,
)

HARMLESS = {
    ("Connection", "_numbers"): "requests are numbered once",
    ("Connection", "waited_s"): "a clock",
    ("Connection", "activity"): "a clock",
    ("Connection", "attention"): "asks to look up once more",
    ("Commits", "_overdrawn"): "which commit is waited for",
    ("QueueCredits", "of"): "what was granted is granted",
    ("QueueCredits", "closed"): "nobody reads that queue any more",
    ("Outbox", "limit"): "of the credits",
    ("Outbox", "due"): "of the credits",
    ("QueueHandle", "_outbox"): "found when it is first used; an empty one does nothing",
    ("QueueHandle", "_lease"): "asked only together with the transaction and the acks",
    ("Prefetch", "got"): "counts leases that are used up; with the others it is as before",
    ("Prefetch", "_in_vain"): "a guess",
    ("Prefetch", "_most"): "a guess",
    ("Prefetch", "_pulled"): "a guess",
    ("Prefetch", "_pulled_at"): "a guess",
    ("Gets", "_ended"): "an end that was told stays told",
    ("Lease", "limit"): "the rest is given back",
    ("Lease", "_rest"): "the rest is given back",
    ("Lease", "_next"): "the rest is given back",
    ("Lease", "_loaded"): "the rest is given back",
    ("Lease", "packed"): "the rest is given back",
}
"""What a rollback does not put back, and why that does no harm. All else it must."""

BEFORE = ["one", 2, {"three": 3}]
SERIES = [*BEFORE, *range(100)]
"""What is put on each queue; that much of it was put on two before the worker was called again."""


class Broker:
    """The other end of a link: `a` has items, three a lease; `b`, `c` and `wide` have room."""

    def __init__(self, items=9, room=100):
        self.sent = []
        self.items = deque(range(items))
        self.room = room
        self.leases = 0
        self.recalls = False
        self._arrived = []

    def queue(self, message, blobs=()):
        self.sent.append(message)
        if isinstance(message, Pull):
            self._arrived.append(self._answer(message))
            if self.recalls:
                self._arrived.append((Recall(lease=1), ()))
        elif isinstance(message, Want):
            self._arrived.append((Grant(want=message.want, queue=message.queue, n=self.room), ()))
        elif isinstance(message, Commit) and message.awaited:
            self._arrived.append((Committed(seq=message.seq), ()))
        elif isinstance(message, Released):
            self.returned = message

    def _answer(self, pull):
        taken = [self.items.popleft() for _ in range(min(3, len(self.items)))]
        if pull.queues != ("a",) or not taken:
            return (Ended if pull.queues == ("ended",) else NoLease)(pull=pull.pull), ()
        self.leases += 1
        chunk = pickle.dumps(taken)
        part = Range(start=0, stop=len(taken), first=taken[0] + 1, size=len(chunk), packed=False)
        return Leased(pull=pull.pull, lease=self.leases, queue="a", ranges=(part,)), (chunk,)

    def flush(self):
        pass

    def wake(self):
        pass

    def wait(self, timeout_s, **_options):
        assert self._arrived, "waits for an answer that nothing will bring"

    def receive(self):
        arrived, self._arrived = self._arrived, []
        return arrived


class Worker:
    """Its handles are attributes; what it had put on `b`, and on `c`, comes again."""

    def __init__(self, link):
        info = QueueInfo(maxsize=100, chunk_items=50)
        digest = digest_of(BEFORE, packed=False, before=0)
        emitted = {name: Emitted(n=len(BEFORE), digest=digest) for name in "bc"}
        self.client = Client(
            link,
            {"b": info, "c": info, "wide": info, "full": info},
            by_item=False,
            arm=lambda: None,
            replays=ReplayChecks("job 'a'", emitted, counted=True),
            gets=Gets(),
        )
        self.transaction = Transaction(self.client)
        self.a, self.ended = (self.handle(name, reads=True) for name in ("a", "ended"))
        self.at = dict.fromkeys(("b", "c", "wide"), 0)
        self.b, self.c, self.wide, self.full = map(self.handle, ("b", "c", "wide", "full"))

    def handle(self, name, *, reads=False):
        handle = QueueHandle(
            name, self.client, self.transaction, holder="job 'a'", reads=reads, writes=not reads
        )
        self.transaction.marks.append(handle.mark)
        return handle

    def state(self):
        """Every attribute of every object of the worker, by its path."""
        found = {}
        _collect("worker", vars(self), found, set())
        return found


def _collect(path, value, found, seen):
    if isinstance(value, dict):
        for key, part in value.items():
            _collect(f"{path}[{key!r}]", part, found, seen)
    elif isinstance(value, list | tuple | deque):
        for at, part in enumerate(value):
            _collect(f"{path}[{at}]", part, found, seen)
    elif isinstance(value, OURS):
        if id(value) in seen:
            return
        seen.add(id(value))
        for name, part in attributes(value).items():
            if (type(value).__name__, name) not in HARMLESS:
                _collect(f"{path}.{name}", part, found, seen)
    elif value is None or isinstance(value, bool | int | float | str | bytes | frozenset):
        found[path] = value


def puts(*names, n=5):
    """Puts the next items on some queues."""

    def block(worker):
        for name in names:
            for _ in range(n):
                getattr(worker, name).put(SERIES[worker.at[name]])
                worker.at[name] += 1

    return block


def puts_large_items(worker):
    for n in range(3):
        worker.wide.put("x" * 40_000)
        worker.wide.put(bytes(n + 1))


def gets(n):
    def block(worker):
        for _ in range(n):
            worker.a.get()

    return block


def gets_the_end(worker):
    for _ in range(3):
        with contextlib.suppress(EndOfStream):
            worker.ended.get()


def gets_what_is_recalled(worker):
    """All of the first lease is finished when the rest of it is asked back."""
    worker.client.connection.link.recalls = True
    gets(3)(worker)


def finds_nothing(worker):
    puts("b", "wide")(worker)
    gets(9)(worker)
    worker.a.get()


def finds_no_room(worker):
    puts("b", "c")(worker)
    worker.client.connection.link.room = 0
    worker.full.put(1)


BLOCKS = {
    "puts within what comes again": puts("b", n=2),
    "puts what comes again": puts("b", n=3),
    "puts more than what comes again": puts("b", n=5),
    "puts on two queues": puts("b", "c", n=5),
    "puts on two in turn": lambda worker: (puts("b", n=4)(worker), puts("c", n=1)(worker)),
    "puts large items": puts_large_items,
    "gets one": gets(1),
    "gets several leases": gets(5),
    "gets the end of a stream": gets_the_end,
    "gets what is recalled": gets_what_is_recalled,
    "finds nothing": finds_nothing,
    "finds no room": finds_no_room,
}

BEGINNINGS = {
    "nothing was used": lambda worker: None,
    "all was used": lambda worker: (puts("b", "c", "wide", n=1)(worker), gets(2)(worker)),
    "all has come again": puts("b", "c", n=3),
    "something new was put": puts("b", "c", n=4),
}


def rolled_back(worker, block):
    """The block is run in a transaction that raises."""
    before = dict(worker.at)
    with pytest.raises((KeyError, WouldWaitError)), worker.transaction.scope():
        block(worker)
        raise KeyError
    worker.at = before


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_what_a_block_has_changed_is_as_before_once_it_is_rolled_back(beginning, block):
    link = Broker()
    worker = Worker(link)
    BEGINNINGS[beginning](worker)
    with worker.transaction.scope():
        pass  # so that what was put before is committed
    before, sent = worker.state(), len(link.sent)
    rolled_back(worker, BLOCKS[block])
    after = worker.state()
    noted = after.pop("worker['client'].gets._line[0][0]", None)  # an end that was told stays told
    assert noted in {None, "ended"}
    assert not after.pop("worker['client'].gets._line[0][1]", 0)
    new = {path for path in after.keys() - before.keys() if "utboxes." not in path}
    changed = {path for path in before if before[path] != after.get(path, "gone")}
    ours = {path for path in new | changed if "by_number[" not in path and "._shared[" not in path}
    assert not ours
    for lease in worker.client.leases.by_number.values():
        assert lease.limit == lease.total or lease.finished < lease.limit == lease.started
    assert not any(isinstance(message, Commit) for message in link.sent[sent:])


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_after_a_rollback_the_worker_goes_on_as_if_the_block_had_never_been(beginning, block):
    """What is committed in all is what it would be without the block, and digests go on."""

    def committed(*, with_block):
        link = Broker()
        worker = Worker(link)
        BEGINNINGS[beginning](worker)
        if with_block:
            rolled_back(worker, BLOCKS[block])
            link.room = 100
        puts("b", n=8 - worker.at["b"])(worker)
        with worker.client.connection.lock:
            worker.transaction.finish()
            worker.client.commits.commit()
        commits = [message for message in link.sent if isinstance(message, Commit)]
        commits += [m.commit for m in link.sent if isinstance(m, Pull) and m.commit is not None]
        n = sum(n for commit in commits for _, n in commit.finished)
        outputs = [o for commit in commits for o in commit.outputs if "b" in o.queues]
        return n, sum(output.n for output in outputs), outputs[-1].digests[1]

    assert committed(with_block=True) == committed(with_block=False)


def test_what_is_given_back_begins_with_the_first_item_that_was_got_in_the_block():
    link = Broker()
    worker = Worker(link)
    assert worker.a.get() == 0
    rolled_back(worker, gets(4))
    released = [(m.lease, m.kept) for m in link.sent if isinstance(m, Released)]
    assert released == [(2, 0), (1, 1)], "the last lease first: each goes to the head"


def test_what_a_thread_put_while_the_block_began_is_no_part_of_it():
    """The commit before the block waits for its answer, and another thread puts meanwhile."""

    class Slow(Broker):
        def wait(self, timeout_s, **options):
            if not self.done and any(isinstance(m, Commit) for m in self.sent):
                self.done = True
                with worker.client.connection.lock:
                    worker.wide.put("another thread's")
            super().wait(timeout_s, **options)

    link = Slow()
    link.done = False
    worker = Worker(link)
    info = QueueInfo(maxsize=100, chunk_items=50, max_bytes=10_000, share_bytes=5_000)
    worker.client.outboxes._queues = worker.client._queues = {**worker.client._queues, "full": info}
    for name in ("wide", "full"):
        worker.client.outbox((name,)).prompt = 0  # nothing leaves before the block begins
    worker.client.outbox(("wide",)).grant("wide", 9)
    worker.client.commits._sent_at = float("inf")  # and no idle spell ends
    worker.full.put(1)  # its commit is answered
    rolled_back(worker, puts("wide", n=1))
    with worker.client.connection.lock:
        worker.client.commits.commit()
    sent = [o for m in link.sent if isinstance(m, Commit) for o in m.outputs if "wide" in o.queues]
    assert [output.n for output in sent] == [1]


def test_a_block_never_waits():
    link = Broker(items=0, room=0)
    worker = Worker(link)
    for block in (gets(1), puts("wide", n=1)):
        with pytest.raises(WouldWaitError), worker.transaction.scope():
            block(worker)
    with pytest.raises(queue.Empty), worker.transaction.scope():
        worker.a.get_nowait()
    assert all(m.wait is Wait.NO for m in link.sent if isinstance(m, Pull | Want))


@pytest.mark.parametrize(("patience_s", "raised"), [(0.0, queue.Full), (5.0, WouldWaitError)])
def test_where_nobody_ever_waits_a_full_queue_is_full_in_a_block_too(patience_s, raised):
    worker = Worker(Broker(items=0, room=0))
    worker.client.outbox(("wide",)).patience_s = patience_s
    with pytest.raises(raised), worker.transaction.scope():
        worker.wide.put(1)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda worker: worker.b.put(BEFORE[0]), id="puts what comes again"),
        pytest.param(lambda worker: worker.wide.put(1), id="puts"),
        pytest.param(lambda worker: worker.a.get(), id="gets what was pulled"),
    ],
)
def test_a_signal_that_comes_while_a_handle_is_at_work_is_heeded_as_it_returns(use):
    worker = Worker(Broker())
    worker.wide.put(0)
    worker.a.get()
    heeded = []
    worker.client.connection.on_release = lambda: heeded.append(True)
    lock = worker.client.connection.lock

    class Signalling:
        def __enter__(self):
            lock.acquire()
            worker.client.connection.signalled = True

        def __exit__(self, *_):
            lock.release()

    worker.client.connection.lock = Signalling()
    use(worker)
    assert heeded


def test_a_task_done_that_a_transaction_refuses_is_not_counted():
    """Else the one after the last item would pass for that of the end, and `join` never return."""
    worker = Worker(Broker())
    worker.a.get()
    with worker.transaction.scope(), pytest.raises(WouldWaitError):
        worker.a.task_done()
    assert worker.a._tasks_done == 0


@pytest.mark.parametrize("block", [1, "yes", [0], np.bool_(True)])
@pytest.mark.parametrize("timeout", [None, 5, 0.5, np.float32(2), Fraction(1, 3), True])
def test_a_handle_takes_a_flag_and_a_time_of_any_kind(block, timeout):
    """A parameter of a compiled function is checked: it would refuse what Python takes."""
    worker = Worker(Broker())
    worker.wide.put("x", block, timeout)
    worker.wide.put("y", block=block, timeout=timeout)
    assert [worker.a.get(block, timeout), worker.a.get(0), worker.a.get(block=block)] == [0, 1, 2]
