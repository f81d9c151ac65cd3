"""Dead letters on the disk, and the notes of where they went."""

import json
import pickle
import stat

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.errors import RunDirectoryError
from orchestrator.runlog.letters import (
    DeadLetters,
    Replayed,
    damaged_letters,
    note_replayed,
    read_letters,
    read_replayed,
)

CHUNK = pickle.dumps([1, 2, 3])


def dead(index=0, chunk=CHUNK):
    return ItemDead(
        job="work",
        worker="work-1",
        item=f"a:{index + 1}",
        queue="a",
        attempts=2,
        failure=Failure(kind="ValueError", message="\ud800", traceback="tb\n", where="m.py:3"),
        chunk=chunk,
        index=index,
        packed=False,
    )


@pytest.fixture
def written(tmp_path):
    letters = DeadLetters(tmp_path)
    other = pickle.dumps([9])
    for each in (dead(0), dead(2), dead(0, other)):
        letters.add(each, 5.5)
    letters.close()
    return tmp_path


def test_what_was_written_is_read_in_its_order(written):
    found = [*read_letters(written)]
    assert [(each.letter, each.item, each.index) for each in found] == [
        (1, "a:1", 0),
        (2, "a:3", 2),
        (3, "a:1", 0),
    ]
    assert (found[0].error_type, found[0].error, found[0].ts) == ("ValueError", "\ud800", 5.5)


def test_letters_of_one_chunk_share_its_file(written):
    chunks = [each.chunk for each in read_letters(written)]
    assert chunks[0] == chunks[1] != chunks[2]
    assert (written / "dead" / chunks[0]).read_bytes() == CHUNK


def test_letters_are_for_nobody_else(written):
    assert stat.S_IMODE((written / "dead").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (written / "dead").iterdir()} == {0o600}


def test_a_torn_last_line_is_left_out_wherever_it_is_torn(written):
    path = written / "dead" / "letters.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [each.letter for each in read_letters(written)] == [1, 2]


def test_a_letter_cannot_point_out_of_its_directory(written):
    path = written / "dead" / "letters.jsonl"
    path.write_text(path.read_text().replace("chunk-000001.pickle", "../../../etc/passwd"))
    assert [each.letter for each in read_letters(written)] == [3]


@pytest.mark.parametrize("ts", ["1e300", "-1.0", "NaN", "Infinity", "253402300800.0"])
def test_a_letter_of_an_older_version_with_a_time_that_is_none_is_damaged(written, ts):
    path = written / "dead" / "letters.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["crc32"], line["chunk_crc32"]
    old = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(old.replace('"ts": 5.5', f'"ts": {ts}', 1))
    assert [each.letter for each in read_letters(written)] == [2, 3]
    assert len(damaged_letters(written)) == 1


@pytest.mark.parametrize("worker", ["", "work", "work-", "work-x", "work-1x"])
def test_a_letter_of_an_older_version_whose_worker_is_none_is_damaged(written, worker):
    path = written / "dead" / "letters.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["crc32"], line["chunk_crc32"]
    lines[0]["worker"] = worker
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [each.letter for each in read_letters(written)] == [2, 3]
    assert len(damaged_letters(written)) == 1


def test_without_a_directory_there_are_no_letters(tmp_path):
    assert [*read_letters(tmp_path)] == []


def test_a_link_is_not_followed(written, tmp_path):
    path = written / "dead" / "letters.jsonl"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirectoryError):
        [*read_letters(written)]
    (written / "dead" / "replayed.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirectoryError):
        note_replayed(written, note("r1", 1))
    with pytest.raises(RunDirectoryError):
        read_replayed(written, [1])


def note(run, *letters, undone=False):
    return Replayed(letters=letters, run=run, ts=1.0, undone=undone)


def test_each_letter_knows_the_runs_it_went_into(written):
    for each in (note("r1", 1, 2), note("r2", 2), note("r1", 1, 2, undone=True), note("r3", 2, 7)):
        note_replayed(written, each)
    assert read_replayed(written, [1, 2, 3]) == {1: (), 2: ("r2", "r3"), 3: ()}


def test_a_torn_note_spoils_no_other(written):
    path = written / "dead" / "replayed.jsonl"
    note_replayed(written, note("r1", 1))
    with path.open("ab") as file:
        file.write(b'{"letters": [2], "ru')
    note_replayed(written, note("r2", 3))
    assert read_replayed(written, [1, 2, 3]) == {1: ("r1",), 2: (), 3: ("r2",)}


def test_a_resumed_run_keeps_the_letters_it_knows_of_and_misses_those_that_are_gone(tmp_path):
    letters = DeadLetters(tmp_path)
    for index in (0, 1, 2):
        letters.add(dead(index), 1.0)
    letters.close()
    again = DeadLetters(tmp_path, resumed={"a:1", "a:3", "a:7"}, synced=True)
    assert again.missing == {"a:7"}
    again.add(dead(8), 2.0)
    again.close()
    kept = [(letter.letter, letter.item) for letter in read_letters(tmp_path)]
    assert kept == [(1, "a:1"), (3, "a:3"), (4, "a:9")]


def test_a_letter_whose_item_is_gone_is_missing(tmp_path):
    letters = DeadLetters(tmp_path)
    letters.add(dead(), 1.0)
    letters.close()
    for chunk in tmp_path.glob("dead/chunk-*"):
        chunk.unlink()
    assert DeadLetters(tmp_path, resumed={"a:1"}).missing == {"a:1"}


def test_all_are_missing_where_there_is_no_directory_of_letters(tmp_path):
    assert DeadLetters(tmp_path, resumed={"a:1"}).missing == {"a:1"}
    assert not DeadLetters(tmp_path).missing
