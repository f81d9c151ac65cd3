"""YAML 1.2 core scalars."""

import math

import pytest

from orchestrator.spec.yaml.scalars import ScalarError, resolve


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "n", "Yes", "NO", "tRue", "nUll"])
def test_words_that_older_yaml_reads_as_truth_values_are_text(word):
    assert resolve(word) == word


@pytest.mark.parametrize(
    "word",
    [
        "1:30",
        "22:22:11",
        "2024-01-31",
        "1_000",
        "0b11",
        "1.2.3",
        "+",
        "-",
        ".",
        "e3",
        "1e",
        "--1",
        "٣",
    ],
)
def test_what_only_looks_like_a_number_or_date_is_text(word):
    assert resolve(word) == word


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("0", 0), ("-0", 0), ("+12", 12), ("-7", -7), ("0x1F", 31), ("0o17", 15),
        ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5E-3", -0.0015),
        (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
        ("true", True), ("FALSE", False), ("", None), ("~", None), ("Null", None),
    ],
)  # fmt: skip
def test_core_scalars_have_their_type(word, value):
    assert resolve(word) == value
    assert type(resolve(word)) is type(value)


def test_nan_is_a_float():
    assert math.isnan(resolve(".nan"))


@pytest.mark.parametrize("word", ["010", "00", "-007", "08", "010.5", "01e3"])
def test_a_leading_zero_is_an_error_that_says_to_quote(word):
    with pytest.raises(ScalarError) as caught:
        resolve(word)
    assert f'"{word}"' in caught.value.hint


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(ScalarError, match="5000 characters"):
        resolve("9" * 5000)
