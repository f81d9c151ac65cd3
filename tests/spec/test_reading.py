"""What mporch reads of a spec by itself is what pydantic's models of the same declarations say."""

import datetime
import enum
import math

import pytest
from grammar import WRITTEN
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from orchestrator.errors import SpecError
from orchestrator.spec import loads
from orchestrator.spec.declaration import SpecPart, errors_in, pydantic_model
from orchestrator.spec.model import Document
from orchestrator.spec.parts import Matrix
from orchestrator.spec.validate import without_nulls
from orchestrator.spec.words.keys import MAPPINGS

PARTS = {**MAPPINGS, "matrix": Matrix}
NEEDED = {
    "document": {"version": 1, "jobs": {}},
    "rate": {"limit": "1/s"},
    "kill": {"job": "a"},
}
SCALARS = [
    None, True, False, 0, 1, 2, 15, 16, 255, 256, 1000, 1001, 10_000, 10_001, 10**30, -1, 0.0, 0.5,
    2.0, math.nan, math.inf, "", " ", "a", "b-1", "größe", "x" * 65, "a b", "a\0b", "1", "on",
    "true", "auto", "10s", "0s", "1m30s", "5 minutes", "2GiB", "500MB", "1B", "0B", "1iB", "8bit",
    "1e3MB", "9" * 500 + "GB", ".5kB", "1GIBIT", "64MiB", "10/s", "0/s", "10/year", "mine:show",
    "item", "batch", "stream", "skip", "fail", "dead_letter", "stop", "drain", "continue", "full",
    "block", "drop_oldest", "SIGINT", "SIGKILL", "fork", "spawn", "none", "text", "json", "lines",
    "log", "never", "ready", "succeeded", "failed", datetime.date(2024, 1, 31), b"x",
]  # fmt: skip
KEYS = ["a", "b-1", "", "a b", "ValueError", "else", "size", "items", "A=B", "a\0b", 1, True]
LISTS = [[], *([value] for value in SCALARS), ["a", "a"], [0, 1], [["a"]], [{"a": 1}], [[], {}]]
MAPS = [
    {}, *({"a": value} for value in SCALARS), *(dict.fromkeys([one], "skip") for one in KEYS),
    {"maxsize": 5}, {"size": 5}, {"size": 0}, {"max": 3}, {"attempts": 2, "backoff": {"max": "1s"}},
    {"limit": "10/s", "burst": 2}, {"burst": 2}, {"window": 4}, {"memory": "1GiB", "cpu": None},
    {"items": [1], "file": "x"}, {"target": "m:f", "args": [1], "kwargs": {"a": 1}},
    {"equals": [1], "count": 3}, {"count": -1}, {"job": "a", "at_item": 2}, {"job": "a", "x": 1},
    {"queues": {"q": [1], "r": 3, "s": {"each": 1}}, "log": [{"event": "x"}], "exit_code": 3},
    {"a": {"a": 1}}, {"a": [1], "b": ["x"]}, {"a": [1], "exclude": [{"a": 1}]}, {"a": {"a": []}},
    {"a": {"target": "m:f", "output": ["q"], "workers": "auto"}}, {"a": {"targt": "m:f"}},
    {"signal": "SIGINT", "grace": "1s"}, {"start": None, "item": "1s"}, {"replay": "skip"},
]  # fmt: skip
VALUES = [*SCALARS, *LISTS, *MAPS, ("a", 1)]


def plain(found):
    """Values, types and what was written of a part, whoever has made it."""
    if isinstance(found, SpecPart | BaseModel):
        keys = {key: plain(getattr(found, key)) for key in type(found).model_fields}
        return (type(found).__name__, keys, set(found.model_fields_set) & keys.keys())
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return type(found), [plain(value) for value in found]
    if isinstance(found, enum.Enum):
        return found
    return type(found), repr(found)


def read(part, data):
    """What is read of plain values; nothing if they are refused."""
    try:
        return plain(part.read(data))
    except ValueError:
        return None


def by_pydantic(part, data):
    return None if errors_in(part, data) else plain(pydantic_model(part).model_validate(data))


@pytest.mark.parametrize("name", PARTS)
def test_each_key_takes_what_pydantic_takes_and_as_the_same(name):
    part, needed = PARTS[name], NEEDED.get(name, {})
    taken = refused = 0
    for key in [*part.model_fields, "nobody_s"]:
        for value in VALUES:
            data = {**needed, key: value}
            found = read(part, data)
            assert found == by_pydantic(part, data), data
            taken += found is not None
            refused += found is None
    assert taken
    assert refused


@pytest.mark.parametrize("name", NEEDED)
def test_a_key_that_is_missing_is_missed(name):
    for key in NEEDED[name]:
        data = {each: value for each, value in NEEDED[name].items() if each != key}
        assert read(PARTS[name], data) is None
        assert by_pydantic(PARTS[name], data) is None


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=WRITTEN)
def test_a_whole_spec_is_read_as_pydantic_does(data):
    try:
        tree, _ = without_nulls(loads(data).tree)
    except SpecError:
        return
    values = {key: value for key, value in tree.plain().items() if not str(key).startswith("x-")}
    assert read(Document, values) == by_pydantic(Document, values)


def test_defaults_are_those_of_pydantic_s_models():
    for name, part in PARTS.items():
        if name not in NEEDED:
            assert read(part, {}) == plain(pydantic_model(part)())


def test_a_default_that_is_a_mapping_is_nobody_else_s():
    first, second = Document(version=1, jobs={}), Document(version=1, jobs={})
    first.vars["a"] = 1
    assert second.vars == {}
