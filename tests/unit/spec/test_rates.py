"""Rates: a number and a unit of time, and a hint for what is nearly one."""

import pytest

from orchestrator.spec.units import RateError, parse_interval_s


@pytest.mark.parametrize(
    ("text", "interval_s"),
    [("10/s", 0.1), ("100/min", 0.6), ("5/h", 720.0), ("1/d", 86_400.0), ("0.5/s", 2.0)],
)
def test_a_rate_is_the_time_from_one_to_the_next(text, interval_s):
    assert parse_interval_s(text) == pytest.approx(interval_s)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (10, "write 10/s"), (2.5, "write 2.5/s"), ("10", "write 10/s"), (True, "write 10/s"),
        ("100/m", "write 100/min"), ("10/sec", "write 10/s"), ("5 per hour", "write 5/h"),
        ("0/s", "write 1/h"), ("fast", "10/s, 100/min, 5/h"), ("-1/s", "10/s, 100/min, 5/h"),
        ("10/s\n", "write 10/s"), ("1e3/s", "10/s, 100/min, 5/h"), (None, "10/s, 100/min"),
    ],
)  # fmt: skip
def test_what_is_no_rate_is_told_how_to_be_one(value, hint):
    with pytest.raises(RateError) as caught:
        parse_interval_s(value)
    assert hint in caught.value.hint
