"""Files of items: what they hold, and what is told of those that hold none."""

import os
import re

import pytest

from orchestrator.spec.itemsfile import ItemsFileError, read_items


@pytest.mark.parametrize(
    ("name", "text", "items"),
    [
        ("a.json", '[1, "é", {"b": [null]}]', (1, "é", {"b": [None]})),
        ("a.jsonl", '1\n\n{"a": 2}\n"x"', (1, {"a": 2}, "x")),
        ("a.ndjson", "", ()),
        ("a.yaml", "- no\n- {a: 1}\n", ("no", {"a": 1})),
        ("a.yml", "[]", ()),
        ("a.txt", "one\n\n two \n", ("one", "", " two ")),
    ],
)
def test_the_ending_tells_what_a_file_holds(tmp_path, name, text, items):
    (tmp_path / name).write_text(text)
    assert read_items(tmp_path / name) == items


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": 1}', r"a\.json holds a mapping, not a list of items"),
        ("a.json", "[1,\n2,,]", r"a\.json:2:3: this is no JSON"),
        ("a.json", "[" * 100_000, r"a\.json:1:1: this is no JSON"),
        ("a.json", "1" * 5000, r"a\.json:1:1: this is no JSON"),
        ("a.jsonl", "1\n2\n{\n", r"a\.jsonl:3:2: this is no JSON"),
        ("a.yaml", "a: 1\n", r"a\.yaml holds a mapping"),
        ("a.yaml", "", r"a\.yaml holds nothing"),
        ("a.yaml", "- 1\n- *x\n", r"a\.yaml:2:3: "),
        ("a.yaml", "- {a: 1, a: 2}\n", r"a\.yaml:1:10: the key \"a\" is given twice"),
        ("a.csv", "a,b\n", r"a\.csv has no ending that says what it holds"),
        ("a", "", r"a has no ending"),
        ("a.txt", "\0", r"a\.txt: the character U\+0000"),
        ("a.txt", "x" * ((1 << 20) + 1), r"a\.txt: the file is larger than 1 MiB"),
    ],
)
def test_a_file_without_items_is_told_with_its_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ItemsFileError) as error:
        read_items(tmp_path / name)
    assert re.match(message, str(error.value))


def test_a_file_that_is_not_there_has_a_neighbour_perhaps(tmp_path):
    (tmp_path / "lines.txt").write_text("")
    with pytest.raises(ItemsFileError) as error:
        read_items(tmp_path / "line.txt")
    assert str(error.value) == "line.txt: there is no such file"
    assert error.value.hint == "did you mean lines.txt?"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(ItemsFileError, match="not a file"):
        read_items(tmp_path / "a.txt")
