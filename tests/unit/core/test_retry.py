"""Retries and what an exception leads to, as tables."""

from __future__ import annotations

import pytest

from orchestrator.core.protocol.messages import End
from orchestrator.core.retry import backoff_s, resolve
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
