"""Text that is safe to print, and figures for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.views.text import (
    Style,
    duration,
    escaped,
    number,
    paint,
    screen_line,
    shortened,
)


@given(st.text(st.characters()))
def test_nothing_that_acts_on_a_terminal_survives_escaping(text):
    safe = escaped(text)
    assert all(c.isprintable() or c in "\t\u00a0\u200d\ufe0e\ufe0f" for c in safe)


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_plain_text_is_left_alone(text):
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("a\x00\x07\nb", "a\\x00\\x07\\nb"),
        ("\udcff", "\\udcff"),
        ("a\tb", "a\tb"),
        ("d\u00e9j\u00e0 \U0001f469\u200d\U0001f680", "d\u00e9j\u00e0 \U0001f469\u200d\U0001f680"),
    ],
)
def test_escapes_are_visible(text, safe):
    assert escaped(text) == safe


@pytest.mark.parametrize(
    ("text", "left"), [("10%\r20%\r30%", "30%"), ("dos\r\n", "dos"), ("30%\r", "30%"), ("", "")]
)
def test_of_a_line_that_returns_the_carriage_the_last_version_stays(text, left):
    assert screen_line(text) == left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2449, "0.24 s"),
        (9.999, "10 s"),
        (12.34, "12.3 s"),
        (59.97, "1 min"),
        (245, "4 min 05 s"),
        (3600, "1 h"),
        (7380, "2 h 03 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_of_a_long_text_beginning_and_end_stay_and_the_rest_is_counted():
    text = "q:1 failed: " + "x" * 4000 + " (s.py:3)"
    short = shortened(text)
    assert len(short) < 500
    assert short.startswith("q:1 failed: ")
    assert "3,621 characters more, see the log" in short
    assert short.endswith("(s.py:3)")
    assert shortened("short") == "short"


def test_thousands_are_marked():
    assert number(1234567) == "1,234,567"


def test_paint_without_colour_is_the_text():
    assert paint("x", Style.RED, colour=False) == "x"
    assert paint("x", Style.RED, colour=True) == "\x1b[31mx\x1b[0m"
