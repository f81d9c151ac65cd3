"""Filters of records."""

import re

import pytest

from orchestrator.errors import UsageError
from orchestrator.runlog.query import Filter, field_of, item_of, last
from orchestrator.runlog.schema import Level

RECORD = {
    "event": "item.failed",
    "level": "error",
    "job": "parse",
    "worker": "parse-2",
    "msg": "failed at files:17",
    "error": "bad token",
    "traceback": "line 3",
}


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(jobs=frozenset({"parse", "write"})), True),
        (Filter(jobs=frozenset({"write"})), False),
        (Filter(workers=frozenset({"parse-2"})), True),
        (Filter(workers=frozenset({"parse-1"})), False),
        (Filter(level=Level.ERROR), True),
        (Filter(level=Level.CRITICAL), False),
        (Filter(grep=re.compile(r"files:\d+")), True),
        (Filter(grep=re.compile("token")), True),
        (Filter(grep=re.compile("line 3")), True),
        (Filter(grep=re.compile("item.failed")), False),
        (Filter(jobs=frozenset({"parse"}), level=Level.CRITICAL), False),
    ],
)
def test_a_record_must_be_all_that_is_asked_for(wanted, matches):
    assert wanted.matches(RECORD) is matches


LOGGED = {
    "event": "log",
    "msg": "slow",
    "item": "files:1-4,9",
    "fields": {"user": "ann", "n": 3, "d": {"a": [1], "b": "x"}, "a.b": "dotted"},
}


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"items": frozenset({("files", 1)})}, True),
        ({"items": frozenset({("files", 3)})}, True),
        ({"items": frozenset({("files", 9)})}, True),
        ({"items": frozenset({("files", 5)})}, False),
        ({"items": frozenset({("facts", 3)})}, False),
        ({"items": frozenset({("facts", 3), ("files", 4)})}, True),
        ({"fields": (("user", "ann"),)}, True),
        ({"fields": (("user", "bob"),)}, False),
        ({"fields": (("n", "3"), ("d.b", "x"))}, True),
        ({"fields": (("d.a", "[1]"),)}, True),
        ({"fields": (("a.b", "dotted"),)}, True),
        ({"fields": (("event", "log"),)}, True),
        ({"fields": (("missing", ""),)}, False),
        ({"grep": re.compile("user=ann")}, True),
        ({"grep": re.compile(r'"a": \[1\]')}, True),
        ({"grep": re.compile("bob")}, False),
    ],
)
def test_items_and_fields_are_looked_for(wanted, matches):
    assert Filter(**wanted).matches(LOGGED) is matches


def test_a_record_without_an_item_is_of_none():
    assert not Filter(items=frozenset({("files", 1)})).matches({"msg": "x"})
    assert not Filter(items=frozenset({("files", 1)})).matches({"item": "files:x-,"})


@pytest.mark.parametrize("text", ["files", "files:", "files:x", ":3"])
def test_what_is_no_item_says_how_one_is_written(text):
    with pytest.raises(UsageError, match="is no item"):
        item_of(text)


def test_what_is_no_field_says_how_one_is_written():
    assert field_of("a=b=c") == ("a", "b=c")
    for text in ("a", "=b"):
        with pytest.raises(UsageError, match="is no field"):
            field_of(text)


def test_a_record_without_job_or_level_is_found_when_neither_is_asked_for():
    assert Filter().matches({"msg": 3})
    assert not Filter(jobs=frozenset({"a"})).matches({"msg": 3})


@pytest.mark.parametrize("n, kept", [(None, [0, 1, 2]), (2, [1, 2]), (0, []), (9, [0, 1, 2])])
def test_the_last_n_are_kept(n, kept):
    assert list(last(range(3), n)) == kept


@pytest.mark.parametrize(
    ("name", "level"),
    [("WARN", Level.WARNING), ("Fatal", Level.CRITICAL), ("NOTICE", Level.INFO), ("", Level.INFO)],
)
def test_a_loggers_own_words_for_levels_are_understood(name, level):
    assert Level.parse(name) is level
