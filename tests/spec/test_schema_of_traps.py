"""The JSON Schema judges each trap as mporch does, as far as a schema can."""

import re

import pytest
from jsonschema import Draft202012Validator
from traps import TRAPS, expectations

from orchestrator.errors import SpecError
from orchestrator.spec import load
from orchestrator.spec.schema import spec_schema

VALIDATOR = Draft202012Validator(spec_schema())
EXPECTED = expectations()
SEEN_BY_A_SCHEMA = {
    "201", "202", "203", "204", "205", "206", "207", "208", "209", "210", "211", "212",
    "304", "308", "402", "405", "408", "409", "505", "601", "671",
}  # fmt: skip
"""Codes of what is wrong with a value, or with keys beside each other; the rest is about YAML
itself, or about names that must be found elsewhere."""
BEYOND = {
    "job-kwargs-number-key": "in JSON each key is text",
    "tests-no-text-name": "in JSON each key is text",
    "top-queue-name-number": "in JSON each key is text",
    "job-workers-exponent": "JSON Schema counts 1e3 as a whole number",
    "job-workers-float": "JSON Schema counts 2.0 as a whole number",
    "version-float": "JSON Schema counts 1.0 as a whole number",
    "job-ordered-empty": "in JSON no key has nothing after it, and null is a value here",
    "job-workers-empty": "in JSON no key has nothing after it, and null is a value here",
    "job-timeout-long": "that it is longer than 100 years is arithmetic",
    "job-size-huge": "that no machine has as much is arithmetic",
    "job-size-small": "that no worker starts with so little is arithmetic",
}


def readable():
    """Yield the traps that are YAML, with their values as JSON has them."""
    for trap in TRAPS:
        try:
            yield trap.stem, jsonable(load(trap).tree.plain())
        except SpecError:
            continue


def jsonable(value):
    if isinstance(value, dict):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    return [jsonable(inner) for inner in value] if isinstance(value, list) else value


READABLE = dict(readable())


@pytest.mark.parametrize("name", READABLE)
def test_a_trap_is_refused_if_a_schema_can_see_it_and_accepted_if_mporch_accepts_it(name):
    errors = set(re.findall(r" error: .*\[MP(\d+)\]", EXPECTED[name]))
    if not errors:
        VALIDATOR.validate(READABLE[name])
    elif errors & SEEN_BY_A_SCHEMA:
        assert VALIDATOR.is_valid(READABLE[name]) == (name in BEYOND), BEYOND.get(name)


def test_most_traps_can_be_judged():
    assert len(READABLE) > 0.7 * len(TRAPS)
    assert set(BEYOND) <= set(READABLE)
