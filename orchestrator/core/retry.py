"""Retry policy: `on_error` and backoff as formulas; `broker/outcomes.py` counts and retries.

Pure functions of what the spec says; both the broker and a worker ask them.
"""

from __future__ import annotations

from orchestrator.core.protocol.messages import End
from orchestrator.plan.model import ErrorAction, ErrorPolicy, RetryPlan

__all__ = ["backoff_s", "end_of", "resolve"]

_GOLDEN = 0.6180339887498949

_ENDS = {
    ErrorAction.SKIP: End.SKIPPED,
    ErrorAction.DEAD_LETTER: End.DEAD,
    ErrorAction.FAIL: End.FATAL,
}


def end_of(action: ErrorAction) -> End:
    """Return how an item ends by an action."""
    return _ENDS[action]


def resolve(policy: ErrorPolicy, bases: tuple[str, ...], attempts: int = 1) -> End:
    """Return how an item ends by the exception it raised; FAILED: the broker counts its attempts.

    `attempts` is how often it may be tried in all.

    `bases` are the names the exception can be matched by, most derived first, each class as
    `module.Name` and as `Name`. The most derived match wins and holds at once; without one the
    attempts count, and then `otherwise` holds.
    """
    actions = dict(policy.by_exception)
    for name in bases:
        if name in actions:
            return end_of(actions[name])
    return end_of(policy.otherwise) if attempts == 1 else End.FAILED


def backoff_s(retry: RetryPlan, used: int, salt: int) -> float:
    """Return how long an item waits after its `used`-th attempt: exponential, with jitter.

    Between half and all of min(max, initial * 2 ** (used - 1)); `salt` spreads the items evenly
    over that half, by the golden ratio (Knuth, TAOCP 3, 6.4).
    """
    whole = min(retry.max_s, retry.initial_s * 2.0 ** min(used - 1, 60))
    return whole * (0.5 + 0.5 * (salt * _GOLDEN % 1.0))
