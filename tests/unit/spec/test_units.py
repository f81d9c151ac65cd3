"""Durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.units import MAX_DURATION_S, DurationError, parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10), ("200ms", 0.2), ("1m30s", 90), ("1h", 3600), ("2d", 172_800),
        ("0.5s", 0.5), ("1d1h1m1s1ms", 90_061.001), ("0s", 0), ("36500d", MAX_DURATION_S),
    ],
)  # fmt: skip
def test_a_duration_is_read_in_seconds(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("10", "write 10s"), (10, "write 10s"), (2.5, "write 2.5s"), ("5 min", "write 5m"),
        ("5sec", "write 5s"), ("3 Hours", "write 3h"), ("1:30", "write 1m30s or 1h30m"),
    ],
)  # fmt: skip
def test_what_is_nearly_a_duration_is_told_how_to_be_one(value, hint):
    with pytest.raises(DurationError) as caught:
        parse_duration_s(value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "30s1m",
        "1s1s",
        "-1s",
        "1 s 2",
        "PT5M",
        "٣s",
        "36501d",
        None,
        True,
        [],
        "9" * 99 + "d",
    ],
)
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(DurationError) as caught:
        parse_duration_s(value)
    assert caught.value.hint


@given(st.text(alphabet="0123456789.dhms -", max_size=80))
def test_any_text_is_a_bounded_duration_or_an_error(text):
    try:
        seconds = parse_duration_s(text)
    except DurationError:
        return
    assert 0 <= seconds <= MAX_DURATION_S
