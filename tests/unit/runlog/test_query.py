"""Filters of records."""

import re

import pytest

from orchestrator.runlog.levels import Level
from orchestrator.runlog.query import Filter, last

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
