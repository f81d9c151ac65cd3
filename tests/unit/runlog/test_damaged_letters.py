"""Damage of dead letters: one bit that has changed is noticed, and no wrong item is given."""

import itertools
import pickle
import random

import msgspec
import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.runlog.jsonl import read_sealed, sealed_line
from orchestrator.runlog.letters import (
    Chunks,
    DeadLetters,
    Letter,
    Replayed,
    damaged_letters,
    damaged_notes,
    note_replayed,
    read_letters,
    read_replayed,
)

SEED = 8
FLIPS = 4000


def dead(number, chunk, index, *, packed=False):
    return ItemDead(
        job="work",
        worker="work-1",
        item=f"a:{number}",
        queue="a",
        attempts=1,
        failure=Failure(
            kind="ValueError", message=f"of {number}", traceback="tb\n", where="m.py:3"
        ),
        chunk=chunk,
        index=index,
        packed=packed,
    )


@pytest.fixture
def written(tmp_path):
    """Six letters in three chunks, of which the second is packed; two notes of replays."""
    plain, more = (pickle.dumps([f"account-{n}" for n in part]) for part in ((1, 2), (5, 6)))
    packed = pickle.dumps([pickle.dumps(f"account-{n}") for n in (3, 4)])
    letters = DeadLetters(tmp_path)
    chunks = itertools.product(((plain, False), (packed, True), (more, False)), (0, 1))
    for number, ((chunk, is_packed), index) in enumerate(chunks, 1):
        letters.add(dead(number, chunk, index, packed=is_packed), 1.0)
    letters.close()
    for numbers in ((1, 2), (6,)):
        note_replayed(tmp_path, Replayed(letters=numbers, run="r1", ts=1.0))
    return tmp_path


def items(directory):
    """What a replay would feed of each letter that counts as whole: that of its item, or not."""
    chunks = Chunks(directory)
    for letter in read_letters(directory):
        if not chunks.damage(letter):
            (item,) = [pickle.loads((directory / "dead" / letter.chunk).read_bytes())[letter.index]]
            yield letter.letter, pickle.loads(item) if letter.packed else item


def noticed(directory):
    chunks = Chunks(directory)
    damages = [chunks.damage(letter) for letter in read_letters(directory)]
    return [*damaged_letters(directory), *damaged_notes(directory), *filter(None, damages)]


ALL = {number: f"account-{number}" for number in range(1, 7)}


def test_what_was_written_is_whole(written):
    assert dict(items(written)) == ALL
    assert noticed(written) == []


def test_one_bit_anywhere_is_noticed_and_no_letter_gives_a_wrong_item(written):
    chance = random.Random(SEED)
    files = sorted((written / "dead").iterdir())
    wholes = {path: path.read_bytes() for path in files}
    for _ in range(FLIPS):
        path = chance.choice(files)
        whole = wholes[path]
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        where = f"{path.name}, byte {place}, bit {bit}"
        found = dict(items(written))
        assert found.items() <= ALL.items(), where
        told = noticed(written)
        assert told, where
        assert all(str(path) in line for line in told), where
        path.write_bytes(whole)


def test_every_bit_of_the_index_is_noticed(written):
    path = written / "dead" / "letters.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = b"".join(lines[:1] + lines[-1:])
    for place, bit in itertools.product(range(len(lines[0]) - 40, len(last)), range(8)):
        path.write_bytes(last[:place] + bytes([last[place] ^ 1 << bit]) + last[place + 1 :])
        assert damaged_letters(written), (place, bit)


def test_damage_names_the_lines_and_the_letters_they_were(written):
    path = written / "dead" / "letters.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines).replace(b'"a:2"', b'"a:3"'))
    assert damaged_letters(written) == [f"{path} is damaged: line 2 (letter 2)"]
    path.write_bytes(b"".join(lines).replace(b'"a:5"', b'"a:3"').replace(b'"a:6"', b'"a:3"'))
    assert damaged_letters(written) == [f"{path} is damaged: lines 5 to 6 (letters 5 to 6)"]
    path.write_bytes(b"".join([lines[0], lines[1].rstrip(b"\n"), *lines[2:]]))
    assert damaged_letters(written) == [f"{path} is damaged: line 2 (letters 2 to 3)"]
    assert [letter.letter for letter in read_letters(written)] == [1, 4, 5, 6]


def test_a_damaged_or_lost_chunk_costs_its_own_letters_only(written):
    chunks = sorted((written / "dead").glob("chunk-*"))
    chunks[0].write_bytes(chunks[0].read_bytes().replace(b"account-1", b"account-2"))
    chunks[1].unlink()
    checked = Chunks(written)
    told = [checked.damage(letter) for letter in read_letters(written)]
    assert (
        told[0] == told[1] == f"{chunks[0]} is damaged: it is not what was written (its checksum)"
    )
    assert told[2] == told[3] == f"its item is gone: there is no {chunks[1]}"
    assert told[4:] == ["", ""]


def test_letters_and_notes_of_older_versions_are_read(written):
    for name, kind in (("letters.jsonl", Letter), ("replayed.jsonl", Replayed)):
        path = written / "dead" / name
        records = [line.data for line in read_sealed(path.read_bytes().splitlines(), ())]
        for record in records:
            record.pop("crc32")
            record.pop("chunk_crc32", None)
            msgspec.convert(record, kind)
        lines = [msgspec.json.encode(record) + b"\n" for record in records]
        path.write_bytes(b"".join(lines))
    assert noticed(written) == []
    assert dict(items(written)) == ALL
    assert read_replayed(written, [1, 6]) == {1: ("r1",), 6: ("r1",)}


def test_what_a_crash_has_torn_is_no_damage(written):
    for name, look in (("letters.jsonl", damaged_letters), ("replayed.jsonl", damaged_notes)):
        path = written / "dead" / name
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") + 1
        for end in range(last, whole.rindex(b'"crc32"')):
            path.write_bytes(whole[:end])
            assert look(written) == []
        path.write_bytes(whole)


def test_a_line_has_its_own_checksum_and_fields_that_are_not_known_are_passed_over():
    line = sealed_line(Replayed(letters=(1,), run="r", ts=1.0))
    (found,) = read_sealed([line], ())
    assert found.data is not None
    assert (found.data["letters"], found.damaged, found.ended) == ([1], False, True)


@pytest.mark.parametrize("lost", [1, 2, 3], ids="the {} of three".format)
def test_a_resumed_run_gives_no_number_of_a_chunk_twice(tmp_path, lost):
    letters = DeadLetters(tmp_path)
    for number in (1, 2, 3):
        letters.add(dead(number, pickle.dumps([number]), 0), 1.0)
    letters.close()
    (tmp_path / "dead" / f"chunk-{lost:06d}.pickle").unlink()
    again = DeadLetters(tmp_path, resumed={"a:1", "a:2", "a:3"})
    assert again.missing == {f"a:{lost}"}
    for number in (4, 5):
        again.add(dead(number, pickle.dumps([number]), 0), 2.0)
    again.close()
    found = dict(items(tmp_path))
    assert sorted(found.values()) == sorted({1, 2, 3, 4, 5} - {lost})


def test_chunks_whose_letters_were_not_kept_stay_as_they_are(tmp_path):
    """A letter that the store has never heard of; whatever else lies in the directory."""
    letters = DeadLetters(tmp_path)
    letters.add(dead(1, pickle.dumps([1]), 0), 1.0)
    letters.close()
    for name in ("chunk-000007.pickle", "chunk-1234567.pickle", "chunk-x.pickle", "notes"):
        (tmp_path / "dead" / name).write_bytes(b"mine")
    again = DeadLetters(tmp_path, resumed=set())
    again.add(dead(2, pickle.dumps([2]), 0), 2.0)
    again.close()
    assert [letter.chunk for letter in read_letters(tmp_path)] == ["chunk-1234568.pickle"]
    assert (tmp_path / "dead" / "chunk-000007.pickle").read_bytes() == b"mine"


def test_a_letter_has_no_number_that_one_before_it_was_replayed_by(tmp_path):
    letters = DeadLetters(tmp_path)
    for number in (1, 2):
        letters.add(dead(number, pickle.dumps([number]), 0), 1.0)
    letters.close()
    note_replayed(tmp_path, Replayed(letters=(2,), run="r1", ts=1.0))
    again = DeadLetters(tmp_path, resumed={"a:1"})
    again.add(dead(2, pickle.dumps([2]), 0), 2.0)
    again.close()
    numbers = [letter.letter for letter in read_letters(tmp_path)]
    assert numbers == [1, 3]
    assert read_replayed(tmp_path, numbers) == {1: (), 3: ()}
