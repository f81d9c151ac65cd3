"""Arenas of a run: who is given one, what is believed of a producer, when a place is free."""

import gc
import os
from typing import Any

import pytest

from orchestrator.core.protocol.events import PlacedBlob
from orchestrator.core.protocol.messages import (
    ArenaGone,
    Commit,
    Freed,
    Leased,
    Output,
    Pull,
    Range,
    Ready,
    Released,
)
from orchestrator.engine.engine import Malformed, Received
from orchestrator.engine.local import run_arenas as module
from orchestrator.engine.local.run_arenas import RunArenas
from orchestrator.ipc.arena import Handover, Stub, check_of
from orchestrator.ipc.order import Order
from orchestrator.machine.cgroups import Allowance
from orchestrator.plan.model import JobPlan, LimitsPlan, RecyclePlan, Shape
from orchestrator.targets.target import Target

MB = 1 << 20


def order(worker: str, **keys: Any) -> Order:
    counted = keys.pop("counted", False)
    plan: dict[str, Any] = {"inputs": ("a",), "outputs": ("b",), "shape": Shape.ITEM, **keys}
    job = JobPlan(name="job", target=Target(module="m", qualname="f"), **plan)
    return Order(
        run="r",
        run_dir="/",
        project_dir="/",
        pythonpath=(),
        job=job,
        worker=worker,
        index=1,
        queues={},
        counted=counted,
    )


class Stage:
    """Arenas, and what was given and sent."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int, bool]] = []
        self.fds: dict[int, int] = {}
        self.sent: list[tuple[str, Any]] = []
        self.takes = True
        self.arenas = RunArenas(self._give, self._send)

    def _give(self, worker: str, came: Handover) -> bool:
        if self.takes:
            self.given.append((worker, came.arena, came.own))
            if came.own:
                self.fds[came.arena] = os.dup(came.fd)
        return self.takes

    def _send(self, worker: str, message: Any, blobs: Any) -> None:
        assert blobs == ()
        self.sent.append((worker, message))

    def start(self, *workers: str, **keys: Any) -> None:
        for worker in workers:
            self.arenas.started(worker, order(worker, **keys))

    def stub(self, arena: int, offset: int, data: bytes) -> Stub:
        os.pwrite(self.fds[arena], data, offset)
        return Stub(arena, offset, len(data), check_of(memoryview(data)))

    def heard(self, worker: str, *stubs: Stub | bytes, n: int = 1, placed: bool = True) -> Any:
        blobs = tuple(stub.encode() if isinstance(stub, Stub) else stub for stub in stubs)
        outputs = tuple(
            Output(queues=("b",), n=n, size=len(blob), packed=False, placed=placed)
            for blob in blobs
        )
        commit = Commit(seq=1, outputs=outputs)
        return self.arenas.find(Received(worker=worker, frames=[(commit, blobs)]))

    def told(self) -> list[tuple[str, Any]]:
        self.arenas.tell()
        sent, self.sent = self.sent, []
        return sent

    def close(self) -> None:
        self.arenas.close()
        for fd in self.fds.values():
            os.close(fd)


@pytest.fixture
def stage():
    gc.collect()  # descriptors that other tests have let go of
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names
    stage = Stage()
    yield stage
    stage.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 -- names


def lease_of(*blobs: Any) -> Leased:
    ranges = tuple(
        Range(start=0, stop=1, first=n, size=len(blob), packed=False)
        for n, blob in enumerate(blobs, 1)
    )
    return Leased(pull=1, lease=1, queue="b", ranges=ranges)


@pytest.mark.parametrize(
    ("keys", "gets"),
    [
        ({}, True),
        ({"outputs": ()}, False),
        ({"outputs": (), "write_handles": (("q", "b"),)}, True),
        ({"counted": True}, False),
        ({"limits": LimitsPlan(memory_bytes=MB)}, False),
        ({"limits": LimitsPlan(cpu_s=1)}, True),
        ({"recycle": RecyclePlan(max_rss_bytes=MB)}, False),
        ({"recycle": RecyclePlan(max_items=1)}, True),
    ],
)
def test_who_puts_large_items_gets_an_arena(stage, keys, gets):
    stage.start("map-1", **keys)
    assert stage.given == [("map-1", 1, True)] * gets


def test_a_chunk_in_an_arena_is_what_lies_there(stage):
    stage.start("map-1")
    (said,) = stage.heard("map-1", stage.stub(1, MB, b"x" * 5000))
    ((_, (blob,)),) = said.frames
    assert isinstance(blob, PlacedBlob)
    assert (len(blob), blob.read()) == (5000, b"x" * 5000)


def test_what_is_no_place_is_left_as_it_is(stage):
    stage.start("map-1")
    (said,) = stage.heard("map-1", b"a chunk", placed=False)
    assert said.frames[0][1] == (b"a chunk",)
    ready = Received(worker="map-1", frames=[(Ready(), ())])
    assert stage.arenas.find(ready) == [ready]


def test_a_pull_brings_places_too(stage):
    stage.start("map-1")
    data = stage.stub(1, 0, b"x" * 5000).encode()
    output = Output(queues=("b",), n=1, size=len(data), packed=False, placed=True)
    pull = Pull(pull=1, queues=("a",), most=1, commit=Commit(seq=1, outputs=(output,)))
    (said,) = stage.arenas.find(Received(worker="map-1", frames=[(pull, (data,))]))
    assert said.frames[0][1][0].read() == b"x" * 5000


@pytest.mark.parametrize(
    "stub",
    [
        Stub(1, 1 << 60, 1, 0),
        Stub(1, (1 << 64) - 1, 1, 0),
        Stub(1, 0, (1 << 64) - 1, 0),
        Stub(1, 0, (1 << 30) + (1 << 20), 0),
        Stub(1, 0, 0, 0),
        Stub(2, 0, 1, 0),
        b"",
        b"x" * 23,
    ],
)
def test_a_place_outside_of_its_arena_is_a_breach_of_that_worker_only(stage, stub):
    stage.start("map-1", "map-2")
    known, breach = stage.heard("map-1", stub)
    assert (known.frames, breach.worker) == ([], "map-1")
    assert isinstance(breach, Malformed)
    (said,) = stage.heard("map-2", stage.stub(2, 0, b"x"))
    assert len(said.frames) == 1


def test_a_chunk_in_an_arena_may_have_many_items(stage):
    stage.start("map-1")
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x" * 100), n=2)
    assert len(said.frames) == 1


def test_who_has_no_arena_has_no_places(stage):
    stage.start("map-1", counted=True)
    _, breach = stage.heard("map-1", Stub(1, 0, 1, 0))
    assert isinstance(breach, Malformed)


def test_what_came_before_a_breach_is_heard(stage):
    stage.start("map-1")
    data = Stub(9, 0, 1, 0).encode()
    output = Output(queues=("b",), n=1, size=len(data), packed=False, placed=True)
    frames = [(Ready(), ()), (Commit(seq=1, outputs=(output,)), (data,)), (Ready(), ())]
    known, breach = stage.arenas.find(Received(worker="map-1", frames=frames))
    assert known.frames == [(Ready(), ())]
    assert isinstance(breach, Malformed)


def test_a_place_is_free_when_nobody_has_its_chunk(stage):
    stage.start("map-1")
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x"), stage.stub(1, MB, b"y"))
    first, second = said.frames[0][1]
    del said
    assert stage.told() == []
    del first
    assert stage.told() == [("map-1", Freed(offsets=(0,)))]
    del second
    assert stage.told() == [("map-1", Freed(offsets=(MB,)))]
    assert stage.told() == []


def test_a_reader_is_given_an_arena_before_its_first_lease_of_it(stage):
    stage.start("map-1")
    stage.start("sink-1", outputs=())
    stub = stage.stub(1, 0, b"x" * 5000)
    (said,) = stage.heard("map-1", stub)
    (blob,) = said.frames[0][1]
    for _ in range(2):
        lease, sent = stage.arenas.addressed("sink-1", lease_of(blob, b"plain"), (blob, b"plain"))
        assert sent == (stub.encode(), b"plain")
        assert [part.placed for part in lease.ranges] == [True, False]
        assert [part.size for part in lease.ranges] == list(map(len, sent))
    assert stage.given == [("map-1", 1, True), ("sink-1", 1, False)]


def test_who_cannot_be_given_it_gets_the_chunk(stage):
    stage.start("map-1")
    stage.start("sink-1", outputs=())
    stage.start("sink-2", outputs=(), limits=LimitsPlan(memory_bytes=MB))
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x" * 5000))
    (blob,) = said.frames[0][1]
    stage.takes = False
    for reader in ("sink-1", "sink-2", "never-1"):
        lease, sent = stage.arenas.addressed(reader, lease_of(blob), (blob,))
        assert sent == (b"x" * 5000,)
        assert not lease.ranges[0].placed


def test_a_dead_lifes_arena_goes_when_it_is_empty(stage):
    stage.start("map-1")
    stage.start("sink-1", outputs=())
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x" * 5000))
    (blob,) = said.frames[0][1]
    del said
    stage.arenas.addressed("sink-1", lease_of(blob), (blob,))
    stage.arenas.died("map-1")
    assert stage.told() == []
    stage.start("map-1")
    assert stage.given[-1] == ("map-1", 2, True)
    assert blob.read() == b"x" * 5000
    _, breach = stage.heard("map-1", Stub(1, 0, 5000, 0))
    assert isinstance(breach, Malformed), "the arena of the life before"
    del blob
    assert stage.told() == [("sink-1", ArenaGone(arena=1))]
    assert stage.told() == []


def test_a_new_life_of_a_reader_is_given_it_anew(stage):
    stage.start("map-1")
    stage.start("sink-1", outputs=())
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x" * 5000))
    (blob,) = said.frames[0][1]
    stage.arenas.addressed("sink-1", lease_of(blob), (blob,))
    stage.arenas.died("sink-1")
    _, sent = stage.arenas.addressed("sink-1", lease_of(blob), (blob,))
    assert sent == (b"x" * 5000,), "nobody is there"
    stage.start("sink-1", outputs=())
    stage.arenas.addressed("sink-1", lease_of(blob), (blob,))
    assert stage.given.count(("sink-1", 1, False)) == 2


def test_arenas_of_the_dead_are_no_more_than_the_descriptors_for_them():
    stage = Stage()
    kept = []
    for arena in (1, 2):
        stage.start("map-1")
        (said,) = stage.heard("map-1", stage.stub(arena, 0, b"x"))
        kept.append(said)
        stage.arenas.died("map-1")
    stage.start("map-1")
    assert len(stage.given) == 2
    stage.arenas.died("map-1")
    kept.clear()
    stage.told()
    del said
    stage.told()
    stage.start("map-1")
    assert len(stage.given) == 3
    stage.close()


def test_that_there_can_be_none_is_told_once(stage, monkeypatch):
    def refused(size):
        raise OSError(27, "File too large")

    monkeypatch.setattr(module.arena, "make", refused)
    stage.start("map-1", "map-2")
    warning = stage.arenas.take_warning()
    assert "File too large" in warning.message
    assert stage.arenas.take_warning() is None
    assert stage.given == []


def test_after_the_end_nothing_is_read_of_what_has_that_number(stage):
    stage.start("map-1")
    (said,) = stage.heard("map-1", stage.stub(1, 0, b"x"))
    (blob,) = said.frames[0][1]
    stage.arenas.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        blob.read()


def test_its_size_is_what_the_machine_and_the_group_allow(monkeypatch):
    monkeypatch.setattr(module, "read_allowance", lambda: Allowance(memory_bytes=7))
    assert module._memory_bytes() == 7


def test_a_reader_that_cannot_see_an_arena_gets_its_chunks_in_frames(stage):
    stage.start("map-1", "map-2", "sink-1", "sink-2")
    blobs = []
    for n, worker in enumerate(("map-1", "map-2"), 1):
        (said,) = stage.heard(worker, stage.stub(n, 0, b"%d" % n * 5000))
        blobs += said.frames[0][1]

    def addressed(worker):
        return [
            part.placed
            for part in stage.arenas.addressed(worker, lease_of(*blobs), blobs)[0].ranges
        ]

    assert addressed("sink-1") == addressed("sink-2") == [True, True]
    released = Received(worker="sink-1", frames=[(Released(lease=1, kept=0, unseen=1), ())])
    assert stage.arenas.find(released) == [released]
    for number in (7, 1 << 60):
        stage.arenas.find(
            Received(worker="sink-2", frames=[(Released(lease=1, kept=0, unseen=number), ())])
        )
    assert addressed("sink-1") == [False, True]
    assert addressed("sink-2") == [True, True]
    stage.arenas.died("sink-1")
    stage.start("sink-1")
    assert addressed("sink-1") == [True, True]
    blobs.clear()
