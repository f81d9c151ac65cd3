"""Restarts, the levels of a stop, and the outcome of a run, as tables."""

from __future__ import annotations

import pytest

from orchestrator.core.supervisor.policy import StopLevel, outcome, restart_delay_s
from orchestrator.errors import ExitCode


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
