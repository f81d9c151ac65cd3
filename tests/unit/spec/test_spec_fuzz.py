"""Whatever the text, the answer is a spec or a spec error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads
from orchestrator.spec.model import Document, JobSpec
from orchestrator.spec.parts import QueueSpec

KEYS = sorted(
    {*Document.model_fields, *JobSpec.model_fields, *QueueSpec.model_fields, "x-y", "needs", "else"}
)
WORDS = st.sampled_from(
    [*KEYS, "a", "b", "q", "m:f", "os:getcwd", "10s", "batch", "skip", "SIGINT"]
)
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [
        *[
            "a",
            "b: ",
            "- ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&x ",
            "*x",
            "<<: ",
            "!!int ",
            "'",
            '"',
        ],
        *[
            "|\n",
            "\n",
            "\n  ",
            "\t",
            "010",
            "~",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "#",
            "@",
            "\\ud800",
        ],
        *["\0", "\x85", "\u2028", "\r", "\ufeff"],
    ]
)


def answer(text):
    """Load and compile; return the spec error, if that is the answer."""
    try:
        compile_spec(loads(text), this_machine())
    except SpecError as error:
        return error
    return None


def assert_well_told(error):
    if error is None:
        return
    assert error.problems
    for problem in error.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert len(str(problem).splitlines()) == 1 + bool(problem.hint)


@settings(max_examples=150)
@given(st.text() | st.binary())
def test_any_text_is_a_spec_or_a_spec_error(text):
    assert_well_told(answer(text))


@settings(max_examples=250)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_broken_yaml_is_a_spec_or_a_spec_error(text):
    assert_well_told(answer(text))


@settings(max_examples=250)
@given(
    st.fixed_dictionaries(
        {"version": st.just(1)},
        optional={
            "jobs": st.dictionaries(
                st.sampled_from(["a", "b", "c"]),
                st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4).map(
                    lambda keys: {"target": "os:getcwd"} | keys
                ),
                max_size=3,
            ),
            "queues": st.dictionaries(WORDS, VALUES, max_size=3),
            "defaults": VALUES,
        },
    )
)
def test_any_values_are_a_spec_or_a_spec_error(document):
    assert_well_told(answer(json.dumps(document, ensure_ascii=True)))


@settings(max_examples=150)
@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_mapping_is_a_spec_or_a_spec_error(document):
    assert_well_told(answer(json.dumps(document)))


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800": 1',
        'a: "\\x00"',
        'version: 1\njobs: {a: {target: "\\e[31m"}}',
        "a: " + "9" * 10_000,
    ],
)
def test_characters_that_harm_a_terminal_never_reach_it(text):
    error = answer(text)
    assert all(line.isprintable() for line in str(error).splitlines())
