"""The reader: streams a log, around whatever has been done to it."""

import json
import os
import tracemalloc

import pytest

from orchestrator.core.protocol.notifications import RunEnded, Warned
from orchestrator.errors import RunNotFoundError
from orchestrator.runlog.jsonl import Damage
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.writer import RunLog

LINES = [json.dumps({"event": "output", "msg": f"line {n}"}).encode() + b"\n" for n in range(3)]
ENDED = RunEnded(status="succeeded", exit_code=0, duration_s=1.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.jsonl"


def read(path):
    with LogReader(path) as log:
        return list(log.available())


def messages(found):
    return [record["msg"] for record in found if isinstance(record, dict)]


def test_records_come_in_order(path):
    path.write_bytes(b"".join(LINES))
    assert messages(read(path)) == ["line 0", "line 1", "line 2"]


def test_the_records_of_one_event_are_found_among_others(path):
    found = b'{"event": "item.skipped", "item": "q:1"}\n'
    names = b'{"event": "output", "msg": "item.skipped"}\n'
    torn = b'{"event": "item.skipped", "it\n'
    path.write_bytes(LINES[0] + names + torn + found + b"\0\n" + found[:-1])
    with LogReader(path) as log:
        assert [record["item"] for record in log.having("item.skipped")] == ["q:1", "q:1"]


def test_a_log_cut_at_any_byte_of_its_last_line_gives_all_before_it(path):
    whole = b"".join(LINES)
    start = len(whole) - len(LINES[-1])
    for cut in range(start + 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        *records, damage = read(path)
        assert messages(records) == ["line 0", "line 1"]
        assert damage == Damage(offset=start, reason="not a record, cut short")


def test_a_last_line_that_lacks_only_its_newline_is_read(path):
    path.write_bytes(b"".join(LINES)[:-1])
    assert messages(read(path)) == ["line 0", "line 1", "line 2"]


def test_a_tail_of_nul_bytes_is_damage(path):
    path.write_bytes(LINES[0] + b"\0" * 100)
    record, damage = read(path)
    assert record["msg"] == "line 0"
    assert damage == Damage(offset=len(LINES[0]), reason="no record, only blanks or NUL bytes")


@pytest.mark.parametrize(
    "bad", [b"{oops\n", b"[1, 2]\n", b"\xff\xfe\n", b"\n", b"[" * 99_999 + b"\n"]
)
def test_a_bad_line_in_the_middle_is_named_by_its_offset_and_passed(path, bad):
    path.write_bytes(LINES[0] + bad + LINES[1])
    first, damage, second = read(path)
    assert messages([first, second]) == ["line 0", "line 1"]
    assert isinstance(damage, Damage)
    assert damage.offset == len(LINES[0])


def test_a_huge_line_is_passed_without_being_held(path):
    with path.open("wb") as file:
        file.write(LINES[0])
        for _ in range(40):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + LINES[1])
    tracemalloc.start()
    first, damage, second = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert messages([first, second]) == ["line 0", "line 1"]
    assert "more than" in damage.reason
    assert peak < 20_000_000


@pytest.mark.parametrize("make", [lambda p: None, os.mkfifo, os.mkdir])
def test_what_is_no_log_file_is_refused_without_a_hang(path, make):
    make(path)
    with pytest.raises(RunNotFoundError):
        LogReader(path)


def test_a_link_is_not_followed(path, tmp_path):
    (tmp_path / "other").write_bytes(LINES[0])
    path.symlink_to(tmp_path / "other")
    with pytest.raises(RunNotFoundError):
        LogReader(path)


def test_without_following_there_is_no_waiting(path):
    path.write_bytes(LINES[0])
    with LogReader(path) as log:
        assert not log.wait()


def test_following_ends_with_the_runs_last_record(tmp_path):
    log = RunLog(tmp_path, "r1")
    with LogReader(log.path, follow=True) as follower:
        assert list(follower.available()) == []
        log.notify(Warned(message="one"))
        assert follower.wait()
        assert messages(follower.available()) == ["one"]
        log.notify(ENDED)
        log.flush()
        assert follower.wait()
        assert len(list(follower.available())) == 1
        assert follower.ended
        assert not follower.wait()
    log.close()


def test_following_ends_when_the_writer_is_gone_without_a_last_record(tmp_path):
    log = RunLog(tmp_path, "r1")
    with LogReader(log.path, follow=True) as follower:
        list(follower.available())
        log.notify(Warned(message="one"))
        log.close()
        found = []
        while follower.wait():
            found += follower.available()
        assert messages(found) == ["one"]
        assert not follower.ended


def test_a_line_that_is_being_written_is_waited_for(tmp_path):
    log = RunLog(tmp_path, "r1")
    with LogReader(log.path, follow=True) as follower:
        os.write(log._fd, LINES[0][:10])
        assert follower.wait()
        assert list(follower.available()) == []
        os.write(log._fd, LINES[0][10:])
        assert follower.wait()
        assert messages(follower.available()) == ["line 0"]
    log.close()


def test_a_log_that_is_renamed_meanwhile_is_followed_to_its_end(tmp_path):
    log = RunLog(tmp_path, "r1")
    with LogReader(log.path, follow=True) as follower:
        list(follower.available())
        log.path.rename(tmp_path / "log.jsonl.1")
        log.notify(Warned(message="after"))
        assert follower.wait()
        assert messages(follower.available()) == ["after"]
        log.notify(ENDED)
        log.flush()
        assert follower.wait()
        list(follower.available())
        assert follower.ended
    log.close()
