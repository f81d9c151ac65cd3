"""The data of the hints is true: what it names is there, and no word has two meanings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from orchestrator.spec.model import Document, JobSpec
from orchestrator.spec.units import parse_duration_s, parse_interval_s
from orchestrator.spec.words import reversed_words, words_of
from orchestrator.spec.words.keys import MAPPINGS, hint_for_key

KEYS = words_of("keys")
VALUES = words_of("values")
PARTS = {name: MAPPINGS[name].model_fields for name in MAPPINGS}
SYNONYMS = [
    (mapping, ours, theirs)
    for mapping, words in KEYS.items()
    for theirs, ours in reversed_words(words["synonyms"]).items()
]


def is_written(form: str, mapping: str) -> bool:
    """True if `key`, `key: {inner: …}` or `one or the other` are keys where they would stand."""
    for each in form.split(" or "):
        key, *inner = re.findall(r"[a-z_]+", each.partition(",")[0].partition(":")[0])
        known = (PARTS[mapping], Document.model_fields, JobSpec.model_fields)
        if inner or not any(key in fields for fields in known):
            return False
        within = re.findall(r"(?<=\{)[a-z_]+", each)
        for step in within:
            if step not in PARTS.get({"defaults": "jobs"}.get(key, key), ()):
                return False
            key = step
    return True


def test_the_data_is_read_only_for_a_hint():
    """A spec that is right costs no time for it."""
    found = 'import sys; from orchestrator.spec import loads; loads("version: 1\\njobs: {%s}"); '
    for job, read in (("a: {target: 'm:f'}", False), ("a: {taget: 'm:f'}", True)):
        script = found % job + "print('tomllib' in sys.modules)"
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert ran.stdout.strip() == str(read)


def test_each_mapping_of_a_spec_has_its_words():
    assert KEYS.keys() == MAPPINGS.keys()
    for name, words in KEYS.items():
        assert words.keys() <= {"synonyms", "advice", "later"}, name


@pytest.mark.parametrize("mapping", KEYS)
def test_what_is_told_in_the_place_of_a_word_is_a_key(mapping):
    wrong = [ours for ours in KEYS[mapping]["synonyms"] if not is_written(ours, mapping)]
    assert not wrong


@pytest.mark.parametrize("mapping", KEYS)
def test_a_word_stands_for_one_thing_and_is_no_key_itself(mapping):
    words = KEYS[mapping]
    told = [words["synonyms"], words.get("advice", {}), {"later": words.get("later", "")}]
    found = Counter(word for table in told for many in table.values() for word in many.split())
    assert [word for word, times in found.items() if times > 1] == []
    assert found.keys() & PARTS[mapping].keys() == set()
    # What the user wrote is looked up in lower case, with underscores.
    assert [word for word in found if not re.fullmatch(r"[a-z_]+", word)] == []


@pytest.mark.parametrize(
    ("mapping", "ours", "theirs"), [each for each in SYNONYMS if each[0] in ("document", "queues")]
)
def test_the_hint_for_a_word_is_what_its_table_says(mapping, ours, theirs):
    path = (theirs,) if mapping == "document" else ("queues", "q", theirs)
    assert hint_for_key(path) == f"did you mean {ours}?"


def test_a_bare_number_means_a_key_of_its_mapping():
    assert all(inner in PARTS[key] for key, inner in VALUES["number"].items())


def test_words_and_forms_for_a_mapping_name_one():
    for table in ("switched_on", "word", "form"):
        assert VALUES[table].keys() <= PARTS.keys(), table
    for key, told in VALUES["word"].items():
        assert all(f"{key}: {{" in each for each in told)


def test_a_form_has_its_pattern_and_a_place_for_the_value():
    assert all(re.compile(each) for each in VALUES["pattern"].values())
    forms = [(key, form) for key, many in VALUES["form"].items() for form in many]
    assert {form["like"] for _, form in forms} == VALUES["pattern"].keys()
    for key, form in forms:
        assert form.keys() <= {"like", "right", "unit"}
        inner = re.findall(
            rf"{key}: \{{([a-z_]+): \{{\}}\}}|\{{([a-z_]+): \{{\}}\}}", form["right"]
        )
        assert inner and all((one or other) in PARTS[key] for one, other in inner)


def test_words_for_what_becomes_of_an_item_are_told_of_what_there_is():
    told = " ".join(VALUES["item"])
    assert all(f"did you mean {action}?" in told for action in ("skip", "fail", "dead_letter"))
    words = [word for many in VALUES["item"].values() for word in many.split()]
    assert len(words) == len(set(words))


def test_words_for_truths_and_states_are_told_of_what_there_is():
    assert VALUES["truth"].keys() == {"true", "false"}
    assert VALUES["state"].keys() == {"finished", "succeeded", "failed", "ready"}
    assert VALUES["state_means"].keys() <= VALUES["state"].keys()


def test_each_message_of_the_parser_is_told_with_a_hint():
    for each in words_of("parser")["message"]:
        assert each.keys() == {"parts", "say", "hint"}
        assert each["parts"] and all(each["parts"])
        assert re.findall(r"\{[^}]*\}", each["hint"]) in ([], ["{}"])
        assert "{" not in each["say"]


def test_words_for_units_are_those_of_durations_and_rates():
    units = VALUES["unit"]
    assert units.keys() == {"duration", "rate"}
    assert [parse_duration_s(f"1{unit}") for unit in units["duration"]]
    assert [parse_interval_s(f"1/{unit}") for unit in units["rate"]]
    for words in units.values():
        found = [word for many in words.values() for word in many.split()]
        assert len(found) == len(set(found)) and not set(found) & words.keys()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("label", "tags or item_name"),
        ("concurrency", "workers"),
        ("threads", "workers"),
        ("resources", "limits"),
        ("item_label", "item_name"),
    ],
)
def test_a_word_that_has_changed_its_meaning_names_a_key_of_today_wherever_it_stands(theirs, ours):
    keys = ours.split(" or ")
    assert set(keys) <= JobSpec.model_fields.keys()
    for path in (("jobs", "j", theirs), ("defaults", theirs)):
        assert hint_for_key(path) == f"did you mean {ours}?"
    at_the_top = hint_for_key((theirs,))
    assert at_the_top.startswith("that belongs to a job"), at_the_top
    assert f"{{{ours}: …}}" in at_the_top
    # What is no key of this version would be said to be one that comes later.
    assert not any(theirs in words.get("later", "").split() for words in KEYS.values())
