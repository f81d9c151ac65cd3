"""Policies of a spec, and the outcome of a run, as tables."""

from __future__ import annotations

import pytest

from orchestrator.core.protocol.messages import End
from orchestrator.core.supervisor.policy import (
    StopLevel,
    backoff_s,
    outcome,
    resolve,
    restart_delay_s,
)
from orchestrator.errors import ExitCode
from orchestrator.plan.model import ErrorAction, ErrorPolicy, RetryPlan

FAIL, SKIP, DEAD = ErrorAction
ENDS = {FAIL: End.FATAL, SKIP: End.SKIPPED, DEAD: End.DEAD}

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
        ((), DEAD, DEAD),
        ((("ValueError", DEAD),), FAIL, DEAD),
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
    assert resolve(policy, DECODE) is ENDS[expected]


def test_only_an_exception_that_is_not_named_is_tried_again():
    policy = ErrorPolicy(by_exception=(("KeyError", SKIP),), otherwise=SKIP)
    assert resolve(policy, DECODE, attempts=2) is End.FAILED
    assert resolve(policy, ("builtins.KeyError", "KeyError"), attempts=2) is End.SKIPPED


def test_the_wait_doubles_up_to_its_limit_and_differs_from_item_to_item():
    retry = RetryPlan(attempts=9, initial_s=0.1, max_s=1.0)
    for used, whole in enumerate((0.1, 0.2, 0.4, 0.8, 1.0, 1.0), start=1):
        waits = [backoff_s(retry, used, salt) for salt in range(100)]
        assert whole / 2 <= min(waits) < max(waits) <= whole
        assert len(set(waits)) == 100
    assert backoff_s(retry, 10**6, 1) <= 1.0


def test_the_first_replacement_is_at_once_and_none_waits_longer_than_a_second():
    waits = [restart_delay_s(n) for n in range(1, 40)]
    assert waits[:3] == [0.0, 0.05, 0.1]
    assert waits == sorted(waits)
    assert max(waits) == 1.0


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
    result = outcome({cause: f"why {int(cause)}" for cause in causes})
    why = f"why {code}" if causes else ""
    assert (int(result.exit_code), result.status, result.reason) == (code, status, why)


def test_the_levels_of_a_stop_rise_in_order():
    assert sorted(StopLevel) == [
        StopLevel.RUN,
        StopLevel.DRAIN,
        StopLevel.STOP,
        StopLevel.TERMINATE,
        StopLevel.KILL,
    ]
    assert [level.how for level in sorted(StopLevel)[1:]] == ["drain", "stop", "terminate", "kill"]
