"""Arenas: places that never overlap and are used again, sealed memory, its handing over."""

import mmap
import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.ipc import arena
from orchestrator.ipc.arena import Handover, Places, Stub, check_of

PAGE = 4096
SIZE = 16 * PAGE


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["+1"], [0]),
        (["+1", "+1", "+1"], [0, 1, 2]),
        (["+1", "-0", "+1"], [0, 0]),
        (["+1", "+1", "-0", "+1"], [0, 1, 0]),
        (["+2", "+1", "-0", "+1", "+1", "+1"], [0, 2, 0, 1, 3]),
        (["+2", "+1", "-0", "+3"], [0, 2, 3]),
        (["+1", "+1", "+1", "+1", "-1", "-0", "+2"], [0, 1, 2, 3, 0]),
        (["+1", "+1", "+1", "+1", "-0", "-1", "+2"], [0, 1, 2, 3, 0]),
        (["+1", "+1", "+1", "-1", "-2", "+9"], [0, 1, 2, 1]),
        (["+16", "+1"], [0, None]),
        (["+17"], [None]),
        (["+8", "+8", "-0", "+4", "+4", "+1"], [0, 8, 0, 4, None]),
        (["+1", "-0", "-0", "-5", "+1"], [0, 0]),
    ],
)
def test_the_lowest_place_that_fits_is_taken(steps, expected):
    places, found = Places(SIZE), []
    for step in steps:
        n = int(step[1:])
        if step[0] == "+":
            offset = places.take(n * PAGE - 1)
            found.append(None if offset is None else offset // PAGE)
        else:
            places.free(n * PAGE)
    assert found == expected


class PlacesModel(RuleBasedStateMachine):
    """Any takes and frees: nothing overlaps, nothing is outside, and nothing is lost."""

    def __init__(self):
        super().__init__()
        self.places = Places(SIZE)
        self.taken = {}

    @rule(size=st.integers(1, 6 * PAGE))
    def take(self, size):
        offset = self.places.take(size)
        pages = -(-size // PAGE)
        if offset is None:
            free = sorted(set(range(16)) - self.used())
            runs = [n for n in range(16) if all(page in free for page in range(n, n + pages))]
            assert not [n for n in runs if n + pages <= 16], "there was room"
            return
        assert offset % PAGE == 0
        mine = set(range(offset // PAGE, offset // PAGE + pages))
        assert not mine & self.used()
        assert max(mine) < 16
        self.taken[offset] = mine

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def free(self, data):
        offset = data.draw(st.sampled_from(sorted(self.taken)))
        self.places.free(offset)
        del self.taken[offset]

    @rule(offset=st.integers(0, 17))
    def free_what_is_not_taken(self, offset):
        if offset * PAGE not in self.taken:
            self.places.free(offset * PAGE)

    def used(self):
        return set().union(*self.taken.values()) if self.taken else set()

    @invariant()
    def counts(self):
        assert len(self.places) == len(self.taken)
        assert self.places.top == (max(self.used()) + 1) * PAGE if self.taken else True
        if not self.taken:
            assert self.places.top == 0


TestPlacesModel = PlacesModel.TestCase
TestPlacesModel.settings = settings(deadline=None, max_examples=200, stateful_step_count=40)


@given(st.binary(min_size=1, max_size=20_000), st.data())
def test_the_check_sees_every_change_of_the_ends(chunk, data):
    at = data.draw(st.integers(0, len(chunk) - 1))
    changed = bytearray(chunk)
    changed[at] ^= 0xFF
    differs = check_of(memoryview(changed)) != check_of(memoryview(chunk))
    assert differs == (at < 4096 or at >= len(chunk) - 4096)


def test_a_stub_is_as_long_as_a_stub():
    stub = Stub(1, 2, 3, 4)
    assert Stub.decode(stub.encode()) == stub
    assert Stub.decode(stub.encode() + b"x") is None
    assert Stub.decode(b"") is None


def test_nobody_can_change_the_length_of_an_arena():
    fd = arena.make(PAGE)
    try:
        for length in (0, 2 * PAGE):
            with pytest.raises(PermissionError):
                os.truncate(fd, length)
    finally:
        os.close(fd)


def test_an_arena_that_was_made_uses_no_memory():
    fd = arena.make(1 << 40)
    try:
        assert os.fstat(fd).st_blocks == 0
    finally:
        os.close(fd)


def test_it_is_handed_over_out_of_the_targets_way():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = arena.make(PAGE)
    arena.give(ours, Handover(7, PAGE, True, "map-1", fd))
    came = arena.receive(theirs, 10)
    assert came is not None
    assert came[:4] == (7, PAGE, True, "map-1")
    assert came.fd >= 10
    assert not os.get_inheritable(came.fd)
    assert os.fstat(came.fd).st_ino == os.fstat(fd).st_ino
    assert arena.receive(theirs) is None
    for each in (fd, came.fd):
        os.close(each)
    ours.close()
    theirs.close()


def test_who_may_only_read_it_cannot_map_it_for_writing():
    fd = arena.make(PAGE)
    read_fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    with pytest.raises(PermissionError):
        mmap.mmap(read_fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)
    os.close(read_fd)
