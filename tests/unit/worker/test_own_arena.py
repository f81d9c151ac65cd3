"""A worker's arenas: what it lays down and what it reads of others, and a lack of memory."""

import contextlib
import errno
import gc
import logging
import os
import pickle
import resource
import socket
import zlib
from functools import partial

import pytest

from orchestrator.core.protocol.messages import Leased, Pull, Range, Released
from orchestrator.ipc import arena, wire
from orchestrator.ipc.arena import Handover, Stub, check_of
from orchestrator.worker import arenas as module
from orchestrator.worker.arenas import (
    DamagedChunkError,
    LaidChunk,
    Placed,
    UnseenArenaError,
    WorkerArenas,
)
from orchestrator.worker.chunks import BIG_ITEM, sole
from orchestrator.worker.client import Client
from orchestrator.worker.large import item_of
from orchestrator.worker.lease import Lease
from orchestrator.worker.link import Link
from orchestrator.worker.outbox import Outbox

MB = 1 << 20
SIZE = 32 * MB


class Stage:
    """A producer and a reader of its arena, whose other side is the test."""

    def __init__(self, size=SIZE):
        self.fd = arena.make(size)
        self.read_fd = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        self.socks = [sock for pair in pairs for sock in pair]
        (to_producer, producer), (to_reader, reader) = pairs
        arena.give(to_producer, Handover(1, size, True, "src-1", self.fd))
        arena.give(to_reader, Handover(1, size, False, "src-1", self.read_fd))
        self.producer, self.reader = WorkerArenas(producer), WorkerArenas(reader)

    def put(self, *parts):
        return self.producer.put(parts, sum(map(len, parts)))

    def write(self, offset, data):
        os.pwrite(self.fd, data, offset)

    def close(self):
        for fd in (self.fd, self.read_fd):
            os.close(fd)
        for sock in self.socks:
            sock.close()


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()


def test_what_is_laid_down_is_read(stage):
    place = stage.put(b"a" * 5000, memoryview(b"b" * 5000), b"c")
    placed = stage.reader.placed(place.stub.encode())
    assert bytes(placed.view) == b"a" * 5000 + b"b" * 5000 + b"c"
    assert placed.owner == "src-1"
    assert len(placed) == len(place) == 10_001


def test_an_item_is_a_copy(stage):
    for item, packed in (
        (b"x" * MB, False),
        ("é" * MB, False),
        (pickle.dumps([1, "z" * MB]), True),
    ):
        place = sole(item, stage.producer)
        assert isinstance(place, LaidChunk)
        placed = stage.reader.placed(place.stub.encode())
        raw = placed.load(partial(item_of, packed=packed))
        loaded = pickle.loads(raw) if packed else raw
        stage.write(place.stub.offset, b"?" * len(place))
        assert loaded == (pickle.loads(item) if packed else item)


def test_a_place_is_used_again_once_nobody_has_it(stage):
    first = stage.put(b"1" * MB)
    assert stage.put(b"2" * MB).stub.offset == MB
    offset = first.stub.offset
    assert offset == 0
    del first
    third = stage.put(b"3" * MB)
    assert third.stub.offset == 0
    third.sent = True
    del third
    assert stage.put(b"4" * MB).stub.offset != 0, "the broker has not said so"
    stage.producer.freed([0])
    assert stage.put(b"5" * MB).stub.offset == 0


def test_what_is_freed_twice_is_free_once(stage):
    kept = [stage.put(b"1" * MB) for _ in range(3)]
    kept[0].sent = True
    stage.producer.freed([0, 0, 12345])
    offsets = [stage.put(b"2" * MB).stub.offset]
    assert offsets == [0]


def test_a_full_arena_is_said_once_and_waits_for_nobody(stage, caplog):
    caplog.set_level(logging.WARNING)
    kept = [stage.put(b"x" * 15 * MB) for _ in range(2)]
    assert all(kept)
    assert [stage.put(b"y" * 4 * MB) for _ in range(3)] == [None] * 3
    assert isinstance(sole(b"y" * 4 * MB, stage.producer), bytes)
    assert [record.getMessage() for record in caplog.records] == [
        "large items go through the orchestrator, which takes longer: shared memory:"
        " all of it is in use"
    ]
    del kept
    assert stage.put(b"z" * 15 * MB) is not None


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOSPC, errno.EFBIG, errno.EINTR])
def test_no_memory_is_said_once_and_takes_nothing(stage, caplog, monkeypatch, number):
    caplog.set_level(logging.WARNING)

    def refused(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "posix_fallocate", refused)
        assert [stage.put(b"y" * MB) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert os.strerror(number) in caplog.text
    assert stage.put(b"y" * MB).stub.offset == 0


def test_an_arena_that_cannot_be_mapped_is_said_once(stage, caplog, monkeypatch):
    caplog.set_level(logging.WARNING)

    def refused(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(module.mmap, "mmap", refused)
        assert stage.put(b"y" * MB) is None
        assert stage.put(b"y" * MB) is None
    assert len(caplog.records) == 1


def test_a_reader_that_cannot_map_it_reads_it(stage, monkeypatch):
    place = stage.put(b"y" * MB)

    def refused(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(module.mmap, "mmap", refused)
        assert bytes(stage.reader.placed(place.stub.encode()).view) == b"y" * MB


def test_a_target_that_closes_descriptors_does_not_have_its_own_file_written_to(
    stage, tmp_path, caplog
):
    place = stage.put(b"y" * MB)
    assert place is not None
    theirs = tmp_path / "theirs"
    own = stage.producer._own
    assert own is not None
    with theirs.open("w+b") as file:
        os.dup2(file.fileno(), own._fd)
        assert stage.put(b"y" * 20 * MB) is None
        assert theirs.stat().st_size == 0
    assert "Bad file descriptor" in caplog.text


def test_pages_that_nothing_lies_on_are_given_back():
    stage = Stage(size=1 << 30)
    kept = [stage.put(b"x" * 16 * MB) for _ in range(12)]
    assert os.fstat(stage.fd).st_blocks * 512 >= 192 * MB
    del kept
    assert stage.put(b"x" * MB) is not None
    assert os.fstat(stage.fd).st_blocks * 512 <= 64 * MB
    assert [stage.put(b"x" * 16 * MB) for _ in range(12)][-1]
    stage.close()


def test_a_stranger_to_an_arena_says_so_once(stage, caplog):
    for _ in range(2):
        with pytest.raises(UnseenArenaError) as told:
            stage.reader.placed(Stub(2, 0, MB, 0).encode())
        assert told.value.arena == 2
    assert len(caplog.records) == 1


def descriptors():
    gc.collect()  # those that other tests have let go of
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names


@contextlib.contextmanager
def no_descriptor_left(n=0):
    """As where the target has all the system lets it have, but for n."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    taken = []
    try:
        with pytest.raises(OSError, match="Too many"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for fd in taken[:n]:
            os.close(fd)
        del taken[:n]
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("n", [0, 1])
def test_an_arena_that_comes_when_no_descriptor_is_left_is_not_there_and_nothing_leaks(stage, n):
    place = stage.put(b"y" * MB)
    before = descriptors()
    with no_descriptor_left(n), pytest.raises(UnseenArenaError):
        stage.reader.placed(place.stub.encode())
    assert descriptors() == before


@pytest.mark.parametrize("n", [2, 3, 11, 12])
def test_with_few_descriptors_it_is_mapped_or_read_and_no_more_than_one_is_kept(stage, n):
    place = stage.put(b"y" * MB)
    before = descriptors()
    with no_descriptor_left(n):
        assert bytes(stage.reader.placed(place.stub.encode()).view) == b"y" * MB
    assert descriptors() <= before + 1


def test_an_arena_that_is_lost_hides_none_that_comes_behind_it(caplog):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = WorkerArenas(theirs)
    fds = [arena.make(MB) for _ in range(3)]
    places = [Stub(n, 0, 4, check_of(memoryview(b"%d" % n * 4))) for n in (1, 2, 3)]
    for n, fd in enumerate(fds, 1):
        os.pwrite(fd, b"%d" % n * 4, 0)
    arena.give(ours, Handover(1, MB, False, "src-1", fds[0]))
    with no_descriptor_left(), pytest.raises(UnseenArenaError):
        reader.placed(places[0].encode())
    for n in (2, 3):
        arena.give(ours, Handover(n, MB, False, "src-1", fds[n - 1]))
    with pytest.raises(UnseenArenaError):
        reader.placed(places[0].encode())
    assert [bytes(reader.placed(place.encode()).view) for place in places[1:]] == [b"2222", b"3333"]
    reader.forget(2)
    with pytest.raises(UnseenArenaError):
        reader.placed(places[1].encode())
    assert len(caplog.records) == 1
    for fd in fds:
        os.close(fd)
    for sock in (ours, theirs):
        sock.close()


def test_a_worker_whose_own_arena_is_lost_says_so_and_puts_into_frames(caplog):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = arena.make(MB)
    arena.give(ours, Handover(1, MB, True, "src-1", fd))
    producer = WorkerArenas(theirs)
    with no_descriptor_left():
        assert producer.put([b"x" * 5000], 5000) is None
    assert producer.put([b"x" * 5000], 5000) is None
    assert producer.lay(b"x" * 5000) is None
    assert len(caplog.records) == 1
    assert "Too many open files" in caplog.text
    os.close(fd)
    for sock in (ours, theirs):
        sock.close()


def test_a_reader_that_cannot_map_it_and_whose_target_closes_descriptors_says_so(
    stage, monkeypatch
):
    place = stage.put(b"y" * MB)

    def refused(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(module.mmap, "mmap", refused)
        assert stage.reader.placed(place.stub.encode())
    fd = stage.reader._others[1]._fd
    with open(os.devnull) as other:  # noqa: PTH123
        os.dup2(other.fileno(), fd)
        with pytest.raises(UnseenArenaError):
            stage.reader.placed(place.stub.encode())
    os.close(fd)
    with pytest.raises(UnseenArenaError):
        stage.reader.placed(place.stub.encode())


def test_an_arena_that_is_gone_is_forgotten(stage):
    place = stage.put(b"y" * MB)
    placed = stage.reader.placed(place.stub.encode())
    stage.reader.forget(1)
    stage.reader.forget(1)
    assert bytes(placed.view) == b"y" * MB, "as long as somebody has a view"
    with pytest.raises(UnseenArenaError):
        stage.reader.placed(place.stub.encode())


def test_why_a_job_has_no_arena_is_told_once(caplog):
    caplog.set_level(logging.INFO)
    arenas = WorkerArenas(limited="limits.memory")
    assert arenas.put([b"x"], 1) is arenas.put([b"x"], 1) is None
    assert len(caplog.records) == 1
    assert "limits.memory" in caplog.text


def leased(stage, item, *, packed=False, stub=None):
    place = sole(item, stage.producer)
    data = (stub or place.stub).encode()
    part = Range(start=0, stop=1, first=1, size=len(data), packed=packed, placed=True)
    message = Leased(pull=1, lease=1, queue="q", ranges=(part,))
    return Lease(message, [stage.reader.placed(data)]), place


@pytest.mark.parametrize("at", ["head", "tail", "all"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_chunk_is_its_items_failure_and_names_who_put_it(stage, at, packed):
    item = "é" * MB
    lease, place = leased(stage, pickle.dumps(item) if packed else item, packed=packed)
    begin = place.stub.offset + (len(place) - 100 if at == "tail" else 0)
    stage.write(begin, b"\xff" * (len(place) if at == "all" else 100))
    raw, packed_now = lease.take()
    assert packed_now
    with pytest.raises(pickle.UnpicklingError, match="src-1"):
        pickle.loads(raw)


def test_text_that_is_none_in_its_midst_is_damage_too(stage):
    lease, place = leased(stage, "é" * MB)
    stage.write(place.stub.offset + MB, b"\xff" * 100)
    raw, _ = lease.take()
    with pytest.raises(pickle.UnpicklingError, match=r"src-1.*utf-8"):
        pickle.loads(raw)


def test_what_no_memory_is_left_for_is_lost_by_its_size(stage):
    stub = Stub(1, 0, MB, 0)
    part = Range(start=0, stop=1, first=1, size=24, packed=False, placed=True)
    message = Leased(pull=1, lease=1, queue="q", ranges=(part,))
    raw, _ = Lease(message, [Placed(None, stub, "src-1")]).take()
    with pytest.raises(MemoryError, match="1,048,576 bytes"):
        pickle.loads(raw)


def test_a_lease_of_what_cannot_be_seen_is_given_back_and_asked_for_again(stage):
    ours, theirs = socket.socketpair()
    client = Client(Link(theirs), {}, by_item=True, arm=lambda: None, arenas=stage.reader)
    for n, blob in ((1, Stub(7, 0, MB, 0).encode()), (2, pickle.dumps([b"x"]))):
        placed, crc = n == 1, zlib.crc32(blob)
        part = Range(start=0, stop=1, first=1, size=len(blob), packed=False, placed=placed, crc=crc)
        message = Leased(pull=n, lease=n, queue="q", ranges=(part,))
        ours.sendall(b"".join(wire.encode(message, (blob,))))
    with client.connection.lock:
        lease = client.pull(("q",), most=1)
    assert lease.take() == (b"x", False)
    reader = wire.from_worker()
    said = [message for message, _ in reader.feed(ours.recv(1 << 16))]
    assert [type(message) for message in said] == [Pull, Released, Pull]
    assert said[1] == Released(lease=1, kept=0, unseen=7)
    for sock in (ours, theirs):
        sock.close()


def test_the_size_of_an_item_is_its_own(stage):
    lease, place = leased(stage, "é" * MB)
    assert lease.bytes_of(0) == len(place) > 2 * MB


def test_what_is_dropped_before_it_is_sent_leaves_its_place(stage):
    box = Outbox(("q",), chunk_items=10, part_items=10, free=True)
    box.sole = lambda item: sole(item, stage.producer)
    box.seal()
    box.add(b"x" * BIG_ITEM)
    box.drop_open()
    box.add(b"y" * BIG_ITEM)
    outputs, blobs = [], []
    box.take(1, outputs, blobs, with_open=True)
    assert outputs[0].placed
    stub = Stub.decode(blobs[0])
    assert stub is not None
    assert (stub.offset, outputs[0].size) == (0, len(blobs[0]))
    box.add(b"z" * BIG_ITEM)
    box.take(0, outputs, blobs, with_open=True)
    again = Stub.decode(blobs[1])
    assert again is not None
    assert again.offset > 0


def test_a_client_finds_chunks_in_arenas_among_others(stage):
    ours, theirs = socket.socketpair()
    client = Client(Link(theirs), {}, by_item=True, arm=lambda: None, arenas=stage.reader)
    place = sole(b"x" * BIG_ITEM, stage.producer)
    data = place.stub.encode()
    plain = pickle.dumps([1, 2])
    ranges = (
        Range(start=0, stop=2, first=1, size=len(plain), packed=False),
        Range(start=0, stop=1, first=3, size=len(data), packed=False, placed=True),
    )
    message = Leased(pull=1, lease=1, queue="q", ranges=ranges)
    client.act(message, (plain, data))
    lease = client.leases.by_number[1]
    assert [lease.take()[0] for _ in range(3)] == [1, 2, b"x" * BIG_ITEM]
    for sock in (ours, theirs):
        sock.close()


def test_a_check_that_fails_is_raised():
    placed = Placed(b"x" * 100, Stub(1, 0, 100, 0), "src-1")
    with pytest.raises(DamagedChunkError, match="src-1"):
        placed.load(bytes)


@pytest.mark.parametrize("packed", [False, True])
def test_a_chunk_of_many_items_is_read_in_parts_and_counted(stage, packed):
    items = [n.to_bytes(4, "big") * 300 for n in range(60)]
    pickled = [pickle.dumps(item) for item in items] if packed else items
    place = stage.producer.lay(pickle.dumps(pickled, 5))
    assert isinstance(place, LaidChunk)
    placed = stage.reader.placed(place.stub.encode())

    def leased(start, stop):
        part = Range(start=start, stop=stop, first=1, size=24, packed=packed, placed=True)
        return Lease(Leased(pull=1, lease=1, queue="q", ranges=(part,)), (placed,))

    assert list(leased(10, 50).__iter__()) == items[10:50]
    for start, stop in ((0, 61), (59, 70)):
        with pytest.raises(pickle.UnpicklingError, match="src-1 had put it"):
            list(leased(start, stop).__iter__())
