"""`{item}` in a command: what it is, and what it stands for."""

from pathlib import PurePath
from types import SimpleNamespace

import pytest

from orchestrator.plan.script import Field, fields_of, pieces_of


def put(text, item):
    """Fill a text with the parts of an item."""
    return "".join(p if isinstance(p, str) else str(p.value_of(item)) for p in pieces_of(text))


@pytest.mark.parametrize(
    ("text", "item", "filled"),
    [
        ("{item}", "a", "a"),
        ("x{item}y{item}", "a", "xaya"),
        ("{item[name]}", {"name": "a"}, "a"),
        ("{item.name}", {"name": "a"}, "a"),
        ("{item[1]}", ["a", "b"], "b"),
        ("{item[1]}", {1: "a"}, "a"),
        ("{item[1]}", {1: "a", "1": "b"}, "b"),
        ("{item[a][0].b}", {"a": [{"b": 3}]}, "3"),
        ("{item.suffix}", PurePath("x.txt"), ".txt"),
        ("{item.a.b}", SimpleNamespace(a=SimpleNamespace(b=1)), "1"),
        ("{item[a b]}", {"a b": 1}, "1"),
    ],
)
def test_a_placeholder_stands_for_the_item_or_a_part_of_it(text, item, filled):
    assert put(text, item) == filled


@pytest.mark.parametrize(
    "text", ["{}", "{itm}", "{print $1}", "{items}", "{item", "{ item }", "{.Names}", "${x}", ""]
)
def test_other_braces_are_text(text):
    assert not fields_of(text)
    assert put(text, "a") == text


def test_double_braces_are_the_text_itself():
    assert put("{{item}} {{item.x}} {item}", "a") == "{item} {item.x} a"


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("{item[x]}", {"y": 1}),
        ("{item.x}", {"y": 1}),
        ("{item[3]}", [1, 2]),
        ("{item[x]}", "text"),
        ("{item.x}", "text"),
        ("{item.__class__}", "text"),
        ("{item[0]}", None),
    ],
)
def test_a_part_that_is_not_there_is_told_with_its_place(text, item):
    with pytest.raises(LookupError) as caught:
        put(text, item)
    assert str(caught.value).startswith(f"{text}: a {type(item).__name__} has no ")


def test_what_an_item_holds_is_not_filled_again():
    assert put("{item}", "{item}") == "{item}"
    assert isinstance(next(p for p in pieces_of("{item}") if p), Field)
