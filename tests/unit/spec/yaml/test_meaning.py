"""What makes two specs the same, and what does not."""

import pytest

from orchestrator.spec.yaml.composer import means_same

SPEC = """\
version: 1
queues: {a: 1, b: 0x10}
defaults: {workers: 2, tags: [x]}
jobs:
  read: &read {target: "m:read", kwargs: {first: 1, last: "$x"}, output: a}
  write: {target: "m:write", input: a}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("version: 1\n", "# new\n---\nversion: 1  # one\n\n"),
        ("{a: 1, b: 0x10}", "\n  a: 1\n  b: 0x10"),
        ('"m:read"', "m:read"),
        ("defaults: {workers: 2, tags: [x]}", "defaults: {tags: ['x'], workers: 2}"),
        ('{target: "m:write", input: a}', '{input: a, "target": "m:write"}'),
        ("&read ", ""),
        ("\n", "\r\n"),
    ],
)
def test_comments_layout_quotes_and_the_order_of_a_jobs_keys_say_nothing(before, after):
    assert before in SPEC
    assert means_same(SPEC.encode(), SPEC.replace(before, after).encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("version: 1", 'version: "1"'),
        ("version: 1", "version: 1\nx-note: 1"),
        ("b: 0x10", "b: 16"),
        ("{a: 1, b: 0x10}", "{b: 0x10, a: 1}"),
        ("tags: [x]", "tags: [x, y]"),
        ("tags: [x]", "tags: x"),
        ("first: 1", "First: 1"),
        ("first: 1, ", ""),
        ('{first: 1, last: "$x"}', '{last: "$x", first: 1}'),
        ('"$x"', "$x"),
        ("input: a", "input: null"),
        ("input: a}", "input: a"),
        ("input: a", "input: a, input: a"),
    ],
)
def test_another_key_value_or_order_of_names_is_a_change(before, after):
    assert before in SPEC
    assert not means_same(SPEC.encode(), SPEC.replace(before, after).encode())


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"\xff", b"a: [", b"a: 1\na: 2\n"])
def test_what_cannot_be_read_is_the_same_as_its_own_bytes_only(text):
    assert means_same(text, text)
    assert not means_same(text, text + b"\n")
