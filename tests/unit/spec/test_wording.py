"""What a word was meant to be."""

import pytest

from orchestrator.spec.wording import Guesses, did_you_mean, listed

MANY = [f"load_table_{n}" for n in range(1000)]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("tood", "did you mean todo?"),
        ("TODO", "did you mean todo?"),
        ("xyz", ""),
        ("todo" * 20, ""),
        ("dones", "did you mean done?"),
    ],
)
def test_the_nearest_name_is_hinted_at_if_it_is_near(word, hint):
    assert did_you_mean(word, ["todo", "done"]) == hint


def test_two_names_that_are_as_near_are_both_hinted_at():
    assert did_you_mean("parse", ["parse_a", "parse_b"]) == "did you mean parse_b or parse_a?"


def test_thousands_of_wrong_names_do_not_take_thousands_of_comparisons():
    guesses = Guesses(MANY)
    hints = [guesses.hint(f"laod_table_{n}") for n in range(300)]
    assert hints[0]
    assert not hints[-1]
    assert guesses.hint("LOAD_TABLE_999") == "did you mean load_table_999?"


def test_names_are_listed_as_in_a_sentence():
    assert (listed(["a"]), listed(["a", "b", "c"], last="and")) == ("a", "a, b and c")
