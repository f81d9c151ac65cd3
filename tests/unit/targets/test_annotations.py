"""Plain types in annotations, and what contradicts what."""

import ast

import pytest

from orchestrator.targets.annotations import contradict, elements_of, types_of
from orchestrator.targets.modules import bindings_in

HEAD = """
import typing, collections.abc
from typing import Annotated, Any, Iterator, List, Literal, Optional, Sequence, Tuple, Union
from mine import Own
class bytes: ...
"""
BINDINGS = bindings_in(HEAD, "m.py")


def expression(text):
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("int", {"int"}),
        ("None", {"None"}),
        ("'int'", {"int"}),
        ("int | str", {"int", "str"}),
        ("Optional[int]", {"int", "None"}),
        ("Union[int, str]", {"int", "str"}),
        ("typing.Union[int, None]", {"int", "None"}),
        ("list[Own]", {"list"}),
        ("List[Own]", {"list"}),
        ("dict[str, int]", {"dict"}),
        ("Annotated[int, 3]", {"int"}),
        ("Literal['a', 1]", {"str", "int"}),
        ("bytes", None),
        ("Own", None),
        ("int | Own", None),
        ("Any", None),
        ("object", None),
        ("Sequence[int]", None),
        ("'not python('", None),
        ("f()", None),
    ],
)
def test_only_plain_types_are_known(text, types):
    assert types_of(expression(text), BINDINGS) == types


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("list[int]", {"int"}),
        ("Iterator[int | str]", {"int", "str"}),
        ("collections.abc.Generator[int, None, str]", {"int"}),
        ("tuple[int, ...]", {"int"}),
        ("Tuple[int, ...]", {"int"}),
        ("tuple[int, str]", None),
        ("dict[str, int]", None),
        ("list", None),
        ("Own[int]", None),
        ("int", None),
    ],
)
def test_an_iterable_tells_the_types_of_its_elements(text, types):
    assert elements_of(expression(text), BINDINGS) == types


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ({"int"}, {"str"}, True),
        ({"int", "None"}, {"str"}, True),
        ({"int"}, {"float"}, False),
        ({"bool"}, {"int"}, False),
        ({"float"}, {"int"}, True),
        ({"int", "str"}, {"str", "bytes"}, False),
        (None, {"str"}, False),
        ({"str"}, None, False),
    ],
)
def test_types_contradict_only_if_none_of_them_fits(given, wanted, expected):
    assert contradict(given and frozenset(given), wanted and frozenset(wanted)) is expected


def test_no_annotation_is_no_type():
    assert types_of(None, BINDINGS) is None
