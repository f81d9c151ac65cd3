"""Moments are written and read as `datetime` does it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rfc3339 import LATEST_S, nanoseconds, second, timestamp

MOMENTS = st.floats(min_value=0, max_value=LATEST_S)


def by_datetime(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")
    return moment.replace("+00:00", "Z")


@given(MOMENTS)
def test_a_moment_is_written_as_datetime_writes_it(unix_s: float) -> None:
    assert timestamp(unix_s) == by_datetime(unix_s)


@pytest.mark.parametrize("unix_s", [0, 0.9999999, 1796119000.232883, LATEST_S])
def test_so_are_whole_seconds_and_those_that_are_rounded_up(unix_s: float) -> None:
    assert timestamp(unix_s) == by_datetime(unix_s)


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_what_was_written_is_read_to_the_microsecond(micros: int) -> None:
    text = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    assert nanoseconds(text.isoformat()) == micros * 1000


@pytest.mark.parametrize(
    "text", ["yesterday", "", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00", "\ud800"]
)
def test_what_is_no_moment_has_no_nanoseconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # whose clocks are ahead: a year 0 there is none
    time.tzset()
    try:
        assert nanoseconds(text) is None
    finally:
        monkeypatch.undo()
        time.tzset()


def test_for_people_there_are_seconds_and_the_zone() -> None:
    assert second(1796119000.25) == f"{timestamp(1796119000.25)[:10]} 09:56:40 UTC"
