"""The fuzzers' short form: whatever the text, the answer is a plan or a spec error with places."""

import pytest
from fuzzing import Tally, answer_in_process
from grammar import MUTATED, WRITTEN
from hypothesis import HealthCheck, given, settings

from orchestrator.spec.rules import examples_module

SHORT = settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(examples_module())
    return tmp_path


@SHORT
@given(data=WRITTEN)
def test_a_spec_by_the_grammar_is_a_plan_or_a_spec_error_with_places(data, folder):
    answer_in_process(data, folder, Tally())


@SHORT
@given(data=MUTATED)
def test_a_spec_with_bytes_changed_is_a_plan_or_a_spec_error_with_places(data, folder):
    answer_in_process(data, folder, Tally())
