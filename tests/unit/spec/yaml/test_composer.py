"""From text to the positioned tree."""

import time

import pytest
import yaml

from orchestrator.spec.yaml import parser as events
from orchestrator.spec.yaml.composer import MAX_ALIASED_NODES, MAX_DEPTH, Composer
from orchestrator.spec.yaml.parser import SyntaxFlaw


def compose(text):
    composer = Composer()
    return composer.compose(text), composer.flaws


def refusal(text):
    with pytest.raises(SyntaxFlaw) as caught:
        Composer().compose(text)
    return caught.value.flaw


def test_each_piece_knows_its_line_and_column():
    root, _ = compose("a: 1\nbé: [x,\n  yy]\n")
    assert root.entries["bé"].key_position[:2] == (2, 1)
    assert [item.position[:2] for item in root.entries["bé"].value.items] == [(2, 6), (3, 3)]


def test_a_quoted_word_is_always_text():
    root, _ = compose("[1, '1', \"true\", !!str 1]")
    assert root.plain() == [1, "1", "true", "1"]


def test_a_merge_gives_way_to_what_the_mapping_says_itself():
    root, flaws = compose("b: &b {x: 1, y: 1}\nc: &c {y: 2, z: 2}\nd: {<<: [*b, *c], z: 3}\n")
    assert root.entries["d"].value.plain() == {"x": 1, "y": 1, "z": 3}
    assert flaws == []


def test_a_quoted_merge_key_is_an_ordinary_key():
    root, _ = compose("{'<<': 1}")
    assert root.plain() == {"<<": 1}


def test_a_key_given_twice_names_both_places():
    root, (flaw,) = compose("a: 1\nb: 2\na: 3\n")
    assert flaw.position[:2] == (3, 1)
    assert "first at 1:1" in flaw.message
    assert root.plain() == {"a": 1, "b": 2}


def test_flaws_are_collected_and_do_not_stop_the_reading():
    _, flaws = compose("a: 010\na: 1\n~: 2\n? [x]\n: 3\nb: !!int 4\n<<: 5\n")
    assert [flaw.position.line for flaw in flaws] == [1, 6, 2, 3, 4, 7]


def test_the_deepest_nesting_allowed_is_read_and_one_more_is_not():
    root, _ = compose("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert root.depth == MAX_DEPTH
    flaw = refusal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert (flaw.message, flaw.position[:2]) == ("nested deeper than 64 levels", (1, 65))


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def each_loader(request, monkeypatch):
    monkeypatch.setattr(events, "_LOADER", getattr(yaml, request.param))


@pytest.mark.usefixtures("each_loader")
@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("[" * 500_000, (1, 65)),
        ("{" * 2_000, (1, 65)),
        ("{a: " * 200_000, (1, 257)),
        ("- " * 300_000, (1, 129)),
        ("? " * 300_000, (1, 129)),
        ("é: 😀\r\nb: " + "[" * 1_200 + "]" * 1_200, (2, 67)),
        ("- " * 40 + "[" * 1_100, (1, 105)),
        ("[" * 1_010 + "@", (1, 65)),
        ("[" * 66 + "@", (1, 65)),
    ],
)
def test_nesting_without_end_is_refused_at_once_where_it_is_too_deep(text, position):
    began = time.process_time()
    flaw = refusal(text)
    assert (flaw.rule.code, flaw.position[:2]) == ("MP113", position)
    assert time.process_time() - began < 2


@pytest.mark.usefixtures("each_loader")
@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("[" * MAX_DEPTH + "@", (1, 65)),
        (f"# {'[' * 3_000}\n[@", (2, 2)),
        (f'["{"[" * 3_000}", @', (1, 3_006)),
        ("[]" * 100, (1, 3)),
    ],
)
def test_what_is_broken_before_it_is_too_deep_is_told_as_broken(text, position):
    flaw = refusal(text)
    assert (flaw.rule.code, flaw.position[:2]) == ("MP110", position)


def test_aliases_cannot_nest_deeper_than_written_text():
    levels = "\n".join(f"a{i + 1}: &a{i + 1} [*a{i}]" for i in range(MAX_DEPTH))
    assert "nested deeper" in refusal(f"a0: &a0 [x]\n{levels}\n").message


def test_aliases_that_multiply_are_refused_before_they_are_expanded():
    many = "\n".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(12))
    flaw = refusal(f"a0: &a0 [x, x, x]\n{many}\n")
    assert str(MAX_ALIASED_NODES) in flaw.message


def test_aliases_of_a_long_text_are_refused_by_its_characters():
    many = ", ".join(["*a"] * 20)
    text = "x" * (1 << 16)
    flaw = refusal(f"a: &a {text}\nb: [{many}]\n")
    assert "1 MiB of text" in flaw.message
    assert flaw.position[:2] == (2, 5 + 16 * len("*a, "))
    assert "1 MiB of text" in refusal(f"a: &a {{? {text}\n : 1}}\nb: [{many}]\n").message


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("a: &a [*a]", "contains itself", (1, 8)),
        ("&a a: 1\nb: {<<: *c}", "*c has no anchor", (2, 9)),
        ("a: &a {<<: *a}", "contains itself", (1, 12)),
        ("a: &x 1\nb: &x 2", "&x is defined twice", (2, 4)),
        ("a: 1\n--- \nb: 2", "second document", (2, 1)),
        ("a:\n\t- b", "a tab cannot indent", (2, 1)),
        ("a: b: c", "cannot stand here", (1, 5)),
        ("a: @b", '"@" cannot start a value', (1, 4)),
        ("a: 'b", "this quote is never closed", (1, 4)),
        ("a: {b: c\n\n", "this bracket is never closed", (1, 4)),
        ("a: {b: {c: d}\n", "this bracket is never closed", (1, 4)),
        ("a: [\n\n", "the text ends within a bracket", (1, 4)),
        ("%YAML 9.9\n--- a", "another version of YAML", (1, 1)),
    ],
)
def test_what_cannot_be_read_on_is_refused_with_its_place(text, message, position):
    flaw = refusal(text)
    assert message in flaw.message
    assert flaw.position[:2] == position


def test_thousands_of_flaws_end_the_reading():
    assert "too many problems" in refusal("a: 1\n" * 1000).message


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.getcwd", "!x"]
)
def test_a_tag_creates_nothing(tag):
    root, flaws = compose(f"a: {tag} [id]")
    assert root.plain() == {"a": ["id"]}
    assert "has no meaning here" in flaws[0].message


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_a_text_without_a_document_has_no_root(text):
    assert compose(text) == (None, [])
