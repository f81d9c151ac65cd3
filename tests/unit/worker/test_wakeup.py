"""The bell: it wakes who polls, and touches no file that has taken its descriptors' numbers."""

from __future__ import annotations

import gc
import os
import select
from pathlib import Path

import pytest

from orchestrator.worker.wakeup import Wakeup


def rings(bell: Wakeup) -> bool:
    return bool(select.select([bell.fd], [], [], 0)[0])


def test_it_rings_until_it_is_hushed_however_often_it_was_rung() -> None:
    bell = Wakeup()
    assert not rings(bell)
    for _ in range(100_000):  # more than its pipe holds
        bell.ring()
    while rings(bell):
        bell.hush()
    bell.hush()
    bell.ring()
    assert rings(bell)
    bell.close()


def test_it_may_be_rung_when_nobody_polls_any_more() -> None:
    bell = Wakeup()
    bell.close()
    bell.ring()


def test_a_file_that_has_taken_its_numbers_is_neither_written_nor_read_nor_closed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "own"
    path.write_text("the user's")
    bell = Wakeup()
    end, rope = bell.fd, bell._rope
    with path.open("r+b", buffering=0) as own:
        for fd in (end, rope):
            os.dup2(own.fileno(), fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            bell.ring()
        with pytest.raises(OSError, match="Bad file descriptor"):
            bell.hush()
        assert own.tell() == 0
        bell.close()
        del bell
        gc.collect()
        for fd in (end, rope):
            os.fstat(fd)
            os.close(fd)
    assert path.read_text() == "the user's"
