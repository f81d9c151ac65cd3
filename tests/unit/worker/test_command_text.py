"""Items as text for a program, and its output as items."""

import itertools
import pickle
from pathlib import PurePath
from subprocess import CalledProcessError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import CommandError
from orchestrator.plan.model import CommandInput
from orchestrator.worker.command.call import (
    argument,
    from_json,
    line_of,
    lines_of,
    text_of,
    word_of,
)
from orchestrator.worker.failure import describe

TEXT, JSON = CommandInput.TEXT, CommandInput.JSON


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("text", "text"),
        (b"a\xff", "a\udcff"),
        (PurePath("a/b"), "a/b"),
        (3, "3"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        ((1, 2), "[1, 2]"),
    ],
)
def test_an_item_is_an_argument_as_text_or_json(item, text):
    assert argument(item) == text


@pytest.mark.parametrize(
    ("item", "form", "read"),
    [
        ("a", TEXT, b"a\n"),
        ("a\nb", TEXT, b"a\nb\n"),
        (b"a", TEXT, b"a"),
        ({"a": 1}, TEXT, b'{"a": 1}\n'),
        ("a\nb", JSON, b'"a\\nb"\n'),
    ],
)
def test_what_a_program_reads_of_an_item(item, form, read):
    assert text_of(item, form) == read


def test_where_lines_are_items_an_item_is_one_line():
    assert line_of("a", TEXT) == line_of(b"a", TEXT) == line_of(b"a\n", TEXT) == b"a\n"
    assert line_of("a\nb", JSON) == b'"a\\nb"\n'
    with pytest.raises(ValueError, match="read as several"):
        line_of("a\nb", TEXT)
    with pytest.raises(ValueError, match="read as several"):
        line_of("a\n", TEXT)


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            b"by tes",
            r"an item of type bytes cannot be written as JSON \(stdin: json\): Object of type bytes"
            r" is not JSON serializable: b'by tes' \(hint: .*stdin: text takes bytes\)",
        ),
        ({"a": [{1}]}, r"an item of type dict .*: Object of type set .*: \{'a': \[\{1\}\]\} \("),
        ({(1, 2): 3}, r"an item of type dict .*: keys must be str"),
        (CIRCLE, r"an item of type list .*: Circular reference"),
    ],
)
def test_an_item_that_json_cannot_hold_is_told_by_its_type_and_value(item, message):
    with pytest.raises(ValueError, match=message) as caught:
        text_of(item, JSON)
    traceback = describe(caught.value).traceback
    assert traceback.count("File ") == 1, "no frame but this one: none of json's, none of ours"
    if not isinstance(item, bytes):
        with pytest.raises(ValueError, match=r"\(as its text is to be\).*item\[name\]"):
            argument(item)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\0b", r"^\{item\[x\]\} has a NUL in it, .*: 'a\\x00b' \(hint: .*: stdin: text\)$"),
        (b"a\0b", r"^\{item\[x\]\} has a NUL in it, .*: b'a\\x00b' \(hint: "),
        (
            "a\ud800b",
            r"^\{item\[x\]\} has a lone surrogate in it, U\+D800, which utf-8 cannot hold:"
            r" 'a\\ud800b' \(hint: .*: stdin: json\)$",
        ),
        ({"a": "\ud800"}, r"^\{item\[x\]\} has a lone surrogate in it, U\+D800, "),
    ],
)
def test_what_no_command_line_can_hold_is_told_by_its_placeholder_with_a_way_out(value, message):
    with pytest.raises(ValueError, match=message) as caught:
        word_of(value, "{item[x]}")
    assert type(caught.value) is ValueError
    assert word_of("a\udcff", "{item}") == "a\udcff", "what stands for a byte is that byte again"


def test_a_lone_surrogate_goes_to_standard_input_as_json_and_not_as_text():
    with pytest.raises(
        ValueError, match=r"^an item has a lone surrogate in it, U\+DFFF, .* json\)"
    ):
        line_of("\udfff", TEXT)
    assert text_of("a\0b", TEXT) == b"a\0b\n"
    assert line_of("\udfff", JSON) == b'"\\udfff"\n'


@given(st.binary(max_size=50), st.lists(st.integers(0, 50), max_size=6))
def test_lines_are_the_same_however_they_arrive(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    whole = data.split(b"\n")
    assert list(lines_of(chunks)) == (whole if whole[-1] else whole[:-1])


def test_lines_of_json_are_values_and_blank_ones_nothing():
    assert list(from_json([b'{"a": 1}', b"", b" ", b"[2]", b"null"])) == [{"a": 1}, [2], None]
    with pytest.raises(ValueError, match=r"line 2 of the command's output is no JSON .*: nope"):
        list(from_json([b"1", b"nope"]))


def test_a_failed_command_is_told_in_short_and_known_by_its_bases():
    error = CommandError("x" * 100, 3, "last\nwords\n")
    assert str(error) == f"{'x' * 58} …: exit status 3: last\nwords"
    assert str(CommandError("sort", -9)) == "sort: killed by SIGKILL"
    assert str(CommandError("sort", -63)) == "sort: killed by signal 63"
    assert isinstance(error, CalledProcessError)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.cmd, copy.returncode, copy.stderr) == (error.cmd, 3, "last\nwords\n")
    bases = describe(error).bases
    assert {"CommandError", "orchestrator.CommandError", "CalledProcessError"} <= set(bases)
