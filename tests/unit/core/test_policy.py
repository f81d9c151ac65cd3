"""Policies of a spec, and the outcome of a run, as tables."""

from __future__ import annotations

import pytest

from orchestrator.core.policy import Level, outcome, resolve
from orchestrator.errors import ExitCode
from orchestrator.plan.model import ErrorAction, ErrorPolicy

FAIL, SKIP = ErrorAction

# Most derived first, each class as module.Name and as Name.
DECODE = (
    "builtins.UnicodeDecodeError",
    "UnicodeDecodeError",
    "builtins.UnicodeError",
    "UnicodeError",
    "builtins.ValueError",
    "ValueError",
    "builtins.Exception",
    "Exception",
)


@pytest.mark.parametrize(
    ("by_exception", "otherwise", "expected"),
    [
        ((), FAIL, FAIL),
        ((), SKIP, SKIP),
        ((("UnicodeDecodeError", SKIP),), FAIL, SKIP),
        ((("ValueError", SKIP),), FAIL, SKIP),
        ((("builtins.ValueError", SKIP),), FAIL, SKIP),
        ((("KeyError", SKIP),), FAIL, FAIL),
        ((("ValueError", SKIP), ("UnicodeError", FAIL)), SKIP, FAIL),
        ((("UnicodeError", FAIL), ("ValueError", SKIP)), SKIP, FAIL),
        ((("Exception", FAIL), ("ValueError", SKIP)), FAIL, SKIP),
    ],
)
def test_the_most_derived_match_decides_whatever_the_order_in_the_spec(
    by_exception, otherwise, expected
):
    policy = ErrorPolicy(by_exception=by_exception, otherwise=otherwise)
    assert resolve(policy, DECODE) is expected


@pytest.mark.parametrize(
    ("causes", "code", "status"),
    [
        (set(), 0, "succeeded"),
        ({ExitCode.FAILED}, 1, "failed"),
        ({ExitCode.FAILED, ExitCode.TIMEOUT}, 124, "timed_out"),
        ({ExitCode.HUP, ExitCode.TIMEOUT, ExitCode.FAILED}, 129, "interrupted"),
        ({ExitCode.TERM, ExitCode.HUP}, 143, "interrupted"),
        (set(ExitCode), 130, "interrupted"),
    ],
)
def test_the_gravest_cause_gives_the_exit_code(causes, code, status):
    result = outcome(causes, "why")
    assert (int(result.exit_code), result.status, result.reason) == (code, status, "why")


def test_the_levels_of_a_stop_rise_in_order():
    assert sorted(Level) == [Level.RUN, Level.DRAIN, Level.STOP, Level.TERMINATE, Level.KILL]
    assert [level.how for level in sorted(Level)[1:]] == ["drain", "terminate", "terminate", "kill"]
