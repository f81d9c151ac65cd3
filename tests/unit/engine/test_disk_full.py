"""While the disk is full everything waits; room, patience or a signal ends that."""

import pytest

from orchestrator.core.protocol.notifications import DiskFull, DiskHasRoom
from orchestrator.engine import conductor as disk_module
from orchestrator.engine.conductor import Disk
from orchestrator.errors import DiskFullError, RunDirectoryError


class Audience:
    """An observer that only listens."""

    def __init__(self):
        self.facts = []

    def notify(self, fact, now):
        self.facts.append(type(fact))

    def flush(self):
        raise DiskFullError("neither can the log be written")


def write_of(*outcomes):
    """A write that fails so often, then succeeds."""
    left = list(outcomes)

    def write():
        if left and (error := left.pop(0)):
            raise error

    return write


def quiet(_seconds):
    """No signal comes meanwhile."""
    return False


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(disk_module, "_RETRY_S", 0.001)


def test_a_write_that_succeeds_is_nobodys_news():
    audience = Audience()
    Disk(audience, quiet).write(write_of())
    assert not audience.facts


def test_a_full_disk_is_told_and_so_is_that_it_has_room_again():
    audience = Audience()
    full = DiskFullError("no room")
    Disk(audience, quiet).write(write_of(full), write_of(full, full))
    assert audience.facts == [DiskFull, DiskHasRoom]


def test_it_waits_for_so_long_and_no_longer():
    def full():
        raise DiskFullError("no room")

    with pytest.raises(DiskFullError, match="no room"):
        Disk(Audience(), quiet, patience_s=0.01).write(full)


def test_a_signal_that_ends_runs_ends_the_wait():
    pauses = []
    with pytest.raises(DiskFullError):
        Disk(Audience(), lambda s: not pauses.append(s)).write(write_of(*[DiskFullError("no")] * 3))
    assert len(pauses) == 1


def test_any_other_failure_is_not_waited_for():
    audience = Audience()
    with pytest.raises(RunDirectoryError, match="broken"):
        Disk(audience, quiet).write(write_of(RunDirectoryError("broken")))
    assert not audience.facts
