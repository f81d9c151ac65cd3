"""Dead letters as text."""

import pytest

from orchestrator.features.deadletters.choice import LetterView, render_letter, render_letters
from orchestrator.views.tables import Paper


def letter(number=1, **changes):
    base = {
        "letter": number,
        "item": "orders:25",
        "job": "pack",
        "worker": "pack-1",
        "attempts": 3,
        "time": "2026-11-23 08:00:00 UTC",
        "error": "ValueError: " + "very " * 50,
        "replayed": ("20261123T080000-abcd",),
    }
    return LetterView(**base | changes)


@pytest.mark.parametrize("width", [48, 60, 80, 120, 10_000])
def test_the_table_fits_and_never_loses_number_item_and_error(width):
    for line in render_letters([letter(), letter(22)], Paper(width=width)).splitlines()[1:]:
        assert len(line) <= width
        assert "orders:25" in line
        assert "ValueError: very" in line


def test_columns_that_are_worth_least_go_first():
    wide, narrow = (render_letters([letter()], Paper(width=width)) for width in (120, 60))
    assert "attempts" in wide
    assert "replayed in" in wide
    assert "attempts" not in narrow


def test_only_the_last_line_of_an_error_is_in_the_table_and_all_of_it_below():
    one = letter(error="E: a\nb\x1b[2J", replayed=())
    assert render_letters([one], Paper()).splitlines()[1].endswith(r"b\x1b[2J")
    below = " " * 12
    assert f"  error     E: a\n{below}b\\x1b[2J\n" in render_letter(one, Paper())


def test_nothing_of_a_letter_acts_on_a_terminal():
    evil = "x\x1b]0;t\x07\u202e\x9b"
    one = letter(error=evil, traceback=evil, content=evil, where=evil)
    shown = render_letter(one, Paper()) + render_letters([one], Paper())
    assert not set(shown) & set("\x1b\x07\u202e\x9b")


def test_what_is_not_known_is_left_out():
    shown = render_letter(letter(replayed=(), where="", content=""), Paper())
    assert "replayed" not in shown
    assert "where" not in shown
