"""What workers of each call shape do, as generators that yield what they wait for."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.core.protocol.events import Blame
from orchestrator.core.protocol.messages import End, Ended, Wait

from .boxes import Box
from .client import Client, Held, Moves

if TYPE_CHECKING:
    from .topology import Job

_ALWAYS: Callable[[], bool] = lambda: True  # noqa: E731 - a name for what is yielded everywhere


class Target:
    """What a job's target does to an item: the same for an item's every execution but its ends."""

    def __init__(
        self, job: Job, new_item: Callable[[], int], failures_of: Callable[[str, int], int]
    ) -> None:
        self.job = job
        self.new_item = new_item
        self._failures_of = failures_of

    def begin(self, queue: str, number: int) -> None:
        """It is called with this item now."""

    def item(self, queue: str, number: int, box: Box, at: int) -> int:
        """The identity of an item it emits for this one, the `at`-th into the box."""
        return self.new_item()

    def marks(self, queue: str) -> bool:
        """Whether it puts something when it is told the end of the queue."""
        return False

    def blocks(self, rng: random.Random) -> bool:
        """Whether it begins a transaction now."""
        return False

    def returns(self, rng: random.Random, queue: str, number: int) -> bool:
        """Whether it has had enough after this item."""
        return rng.random() < self.job.p_return

    def outputs(self, queue: str, number: int, box: Box) -> int:
        """How many items it emits for this one."""
        rng = random.Random(f"{self.job.name}{queue}{number}{box.queues}")
        if rng.random() < 0.03 and box.part <= 10:
            return box.part + rng.randrange(1, 4)
        return rng.choices((0, 1, 2, 3), self.job.fan)[0]

    def end(self, queue: str, number: int) -> End:
        """How it ends this time."""
        rng = random.Random(f"{self.job.name}{queue}{number}")
        kind = rng.random()
        if kind < self.job.p_skip:
            return End.DEAD if kind < self.job.p_skip / 2 else End.SKIPPED
        if kind > 1 - self.job.p_fail / 10:
            return End.FATAL
        if kind > 1 - self.job.p_fail and self._failures_of(queue, number) < rng.choice((1, 2, 3)):
            return End.FAILED
        return End.DONE


def source(client: Client, target: Target, left: int) -> Moves:
    """Emits that many items; asks for room before it makes one."""
    job = target.job
    while left > 0 and not client.stop_asked:
        if any(client.finds_none(box) for box in client.boxes):
            return
        open_boxes = [box for box in client.boxes if not box.shut]
        if not open_boxes:
            return
        box = client.rng.choice(open_boxes)
        wait = client.rng.choice(job.waits)
        got = yield from client.wait_for_credit(box, wait, n=client.rng.choice((1, box.chunk)))
        if not got:
            yield _ALWAYS
            continue
        while box.allowance > 0 and not box.shut and left > 0:
            box.items.append(target.new_item())
            left -= 1
            if client.rng.random() < 0.2:
                break
        if len(box.items) >= box.chunk or client.rng.random() < 0.3:
            yield from client.commit()
        yield _ALWAYS


def items(client: Client, target: Target) -> Moves:
    """Called for each item, until it has had as many as its process may have."""
    job, done = target.job, 0
    while True:
        most = client.rng.choice(job.most)
        held = yield from client.pull(job.reads, most=most)
        if not isinstance(held, Held):
            return
        while held.started < held.limit:
            number = client.begin(held)
            yield _ALWAYS
            if not (yield from _emit(client, target, held.queue, number)):
                return
            end = target.end(held.queue, number)
            if end is not End.DONE:
                client.drop_open()
            client.finish(held, end)
            client.idle()
            if any(box.is_due for box in client.boxes):
                yield from client.commit()
            yield _ALWAYS
        done += held.finished
        if _is_worn(client, job, done):
            return


def batches(client: Client, target: Target) -> Moves:
    """Called with lists of items that end together, as `items` is."""
    job, done = target.job, 0
    while True:
        held = yield from client.pull(
            job.reads, most=job.batch, least=job.batch, within_s=job.within_s
        )
        if not isinstance(held, Held):
            return
        number = client.begin(held)
        held.started = held.limit
        yield _ALWAYS
        if not (yield from _emit(client, target, held.queue, number)):
            return
        client.idle()
        while held.finished < held.limit:
            client.finish(held)
        done += held.finished
        if _is_worn(client, job, done):
            return


def _is_worn(client: Client, job: Job, done: int) -> bool:
    """Whether the process gives its place to a new one after so many items."""
    client.recycled = job.recycle is not None and done >= job.recycle
    return client.recycled


def _emit(client: Client, target: Target, queue: str, number: int) -> Moves:
    """The outputs of one item, in parts if they are many; False when the worker was refused."""
    target.begin(queue, number)
    for box in client.boxes:
        for at in range(target.outputs(queue, number, box)):
            box.items.append(target.item(queue, number, box, at))
            if len(box.items) - box.sealed >= box.part and not box.free:
                yield from client.commit(with_open=True)
                if client.refused:
                    return False
    return True


def stream(client: Client, target: Target) -> Moves:
    """Iterates: an item is finished when the next is asked for; what it puts waits for credit."""
    job = target.job
    while True:
        held = yield from client.pull(job.reads, most=client.rng.choice(job.most))
        if not isinstance(held, Held):
            return
        while held.started < held.limit:
            number = client.begin(held)
            yield _ALWAYS
            yield from _put_each(client, target, held.queue, number)
            client.idle()
            if client.cut:
                return
            client.finish(held)
            if target.returns(client.rng, held.queue, number):
                return


def handles(client: Client, target: Target) -> Moves:
    """Gets from any of its queues, and never waits for ever for one of several."""
    job = target.job
    leases: dict[str, Held] = {}
    ended: set[str] = set()
    hands: dict[str, Held] = {}
    while len(ended) < len(job.reads):
        if target.blocks(client.rng):
            if (yield from _block(client, target, leases, ended, hands)):
                break
            continue
        queue = client.rng.choice([name for name in job.reads if name not in ended])
        if queue in hands or client.rng.random() < 0.5:
            _finish_all(client, hands)
        held = leases.get(queue)
        if held is None or held.started >= held.limit:
            _finish_all(client, hands)
            alone = len(job.reads) == 1
            wait = client.rng.choice((*job.waits, Wait.FOREVER) if alone else (Wait.NO, Wait.TIMED))
            reply = yield from client.pull((queue,), most=client.rng.choice(job.most), wait=wait)
            if isinstance(reply, Ended):
                client.end(queue)
                yield from _end(client, target, queue, ended, hands)
            if not isinstance(reply, Held):
                yield _ALWAYS
                continue
            leases[queue] = held = reply
        number = client.begin(held)
        hands[queue] = held
        yield _ALWAYS
        yield from _put_each(client, target, queue, number, hands)
        if client.cut:
            return
        if target.returns(client.rng, queue, number):
            break
    _finish_all(client, hands)


def _block(
    client: Client,
    target: Target,
    leases: dict[str, Held],
    ended: set[str],
    hands: dict[str, Held],
) -> Moves:
    """A transaction: what it gets and puts is committed at its end, or all of it is undone.

    One that was told an end after an item ends well: nobody gives an end back, so what comes before
    it must stay. Returns whether the target has had enough.
    """
    enough, told, some = False, "", False
    while client.has_unsent:
        yield from client.commit()
    before, roll_back = dict(hands), client.begin_block()
    whole = client.rng.random() < 0.5
    for _ in range(client.rng.randint(1, 4)):
        queue = client.rng.choice([name for name in target.job.reads if name not in ended])
        if queue in hands:
            _finish_all(client, hands)
        held = leases.get(queue)
        if held is None or held.started >= held.limit:
            held = yield from client.pull(
                (queue,), most=client.rng.choice(target.job.most), wait=Wait.NO
            )
            if isinstance(held, Ended):
                told = queue
                client.end(queue)
            if not isinstance(held, Held):
                whole = some and bool(told)
                break
            leases[queue] = held
        number, some = client.begin(held), True
        hands[queue] = held
        yield _ALWAYS
        if not _put_at_once(client, target, queue, number):
            whole = False
            break
        if enough := target.returns(client.rng, queue, number):
            break
    if whole:
        client.end_block()
        _finish_all(client, hands)
        yield from client.commit()
        if told:
            yield from _end(client, target, told, ended, hands)
        return enough
    roll_back()
    hands.clear()
    hands.update(before)
    client.blame = Blame()
    if told:
        yield from _end(client, target, told, ended, hands)
    return False


def _end(
    client: Client, target: Target, queue: str, ended: set[str], hands: dict[str, Held]
) -> Moves:
    ended.add(queue)
    if target.marks(queue):
        yield from _put_each(client, target, f"{queue} at {client.name}", 0, hands)


def _put_at_once(client: Client, target: Target, queue: str, number: int) -> bool:
    """Whether there is room for all that an item gives, without a wait."""
    for box in client.boxes:
        for at in range(target.outputs(queue, number, box)):
            identity = target.item(queue, number, box, at)
            if box.repeats(identity):
                continue
            if box.allowance < 1 and not box.shut:
                return False
            if not box.shut:
                box.items.append(identity)
    return True


def _finish_all(client: Client, hands: dict[str, Held]) -> None:
    for held in hands.values():
        client.finish(held)
    hands.clear()


def _put_each(
    client: Client,
    target: Target,
    queue: str,
    number: int,
    hands: dict[str, Held] | None = None,
) -> Moves:
    """What waits for room commits what handles have in hand before."""
    for box in client.boxes:
        for at in range(target.outputs(queue, number, box)):
            identity = target.item(queue, number, box, at)
            if box.repeats(identity):
                continue
            while box.allowance < 1 and not box.shut:  # it tries again what found no room in time
                _finish_all(client, hands or {})
                yield from client.wait_for_credit(box)
            if client.finds_none(box):
                return
            if not box.shut:
                box.items.append(identity)
            yield _ALWAYS


def life(client: Client, target: Target, left: int) -> Moves:
    """A worker from its first message to its last; a source has `left` items to emit."""
    shape = target.job.shape
    if shape is source:
        yield from source(client, target, left)
    else:
        yield from shape(client, target)
    yield from client.close()
