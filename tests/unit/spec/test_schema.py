"""The JSON Schema accepts what mporch accepts, and refuses what a schema can refuse."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_loader import JOB, JOB_VALUES, WRONG_VALUES

from orchestrator.errors import Severity, SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import Shape
from orchestrator.spec import load, loads
from orchestrator.spec.model import FITS
from orchestrator.spec.rules import CATALOGUE, text_of
from orchestrator.spec.schema import spec_schema

ROOT = Path(__file__).parents[3]
SCHEMA = spec_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SPECS = [ROOT / "jobs.yaml", *sorted(ROOT.glob("examples/*/*.yaml"))]
SPECS += sorted(ROOT.glob("orchestrator/app/templates/*/jobs.yaml"))
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted(ROOT.glob("docs/*.md")))]
PAGES.remove("docs/rules.md")  # half of its specs are wrong; they are taken from the catalogue
RULES = [
    rule for rule in CATALOGUE.values() if "$ " not in text_of(rule).wrong + text_of(rule).right
]
VALUES = [rule for rule in RULES if rule.code.startswith("MP2") and rule.code != "MP212"]
SNIPPETS = [
    (page, text)
    for page in PAGES
    for text in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    if re.search("^version: 1$", text, re.MULTILINE)
]

REFERENCE = {"$ref": "#/$defs/Reference"}

BEYOND = {
    "queues: {1: 3}": "in JSON each key is text",
    "workers: 1.0": "JSON Schema counts 1.0 as a whole number",
    "kwargs: {1: a}": "in JSON each key is text",
    "limits: {memory: 1MB}": "a schema compares no sizes",
}
"""What no schema can refuse, and why."""

WRITTEN = {
    Shape.TASK: "",
    Shape.SOURCE: "output: p",
    Shape.ITEM: "input: q, call: item",
    Shape.BATCH: "input: q, call: batch",
    Shape.STREAM: "input: q, call: stream",
    Shape.HANDLES: "input: {h: q}",
}
REFERRING = [
    ("timeout",), ("durable",), ("name",), ("defaults",), ("queues",), ("queues", "q"), ("jobs",),
    ("queues", "q2", "maxsize"), ("queues", "q2", "when_full"), ("jobs", "j"),
    *(("jobs", "j", key) for key in ("target", "input", "workers", "daemon", "timeouts", "join",
      "call", "on_error", "after", "limits", "retry", "kwargs", "start_method")),
    ("jobs", "j", "timeouts", "item"), ("jobs", "j", "limits", "memory"),
    ("jobs", "j", "limits", "open_files"), ("jobs", "j", "terminate", "signal"),
    ("jobs", "j", "retry", "backoff", "max"), ("jobs", "j", "env", "A"),
]  # fmt: skip
KEYS = {
    ("call",): "call: item",
    ("batch",): "batch: {size: 2}",
    ("on_error",): "on_error: skip",
    ("retry",): "retry: {attempts: 2}",
    ("restart",): "restart: {max: 1}",
    ("restart", "replay"): "restart: {replay: skip}",
    ("recycle",): "recycle: {max_items: 3}",
    ("timeouts", "item"): "timeouts: {item: 1s}",
    ("join",): "join: 3s",
    ("rate",): "rate: 3/min",
    ("item_name",): 'item_name: "{item}"',
    ("ordered",): "ordered: false",
    ("total",): "total: 3",
}
ODD = [
    None, True, False, 0, 1, -1, 3, 17, 1.5, "", "a", "a b", "a-1", "1x", "a.b", "a:b", "a.b:c.d",
    "a:", "é:ü", "0s", "0.0ms", "10", "10s", "1h30m", "30m1h", "1d2h", "1.5s", "1:30", "SIGINT",
    "SIGKILL", "TERM", "fork", "spawn", "thread", "skip", "drain", "batch", "500MB", "2 GiB",
    "1gb", "64MiB", "lots", "text", [], ["a"], ["a", "b"], ["a", 3], [["a"]], {}, {"a": "b"},
    {"a-b": "c"}, {"a b": "skip"}, {"a": "skip"}, {"else": "fail"}, {"a": "ready"}, {"a": None},
    {"a": 1}, {"A=B": "c"}, {"size": 3}, {"size": 0}, {"grace": "1s"}, {"signal": "SIGTERM"},
    {"item": None}, {"run": "1s", "start": "1m"}, {"max": 3}, "3/min", "3/m", "0/s",
    {"limit": "1/h"}, {"limit": "1/h", "burst": 2}, {"burst": 2}, {"window": 2}, {"window": 0},
    {"attempts": 3, "backoff": {"max": "1s"}}, {"maxsize": 0},
    {"maxsize": 5, "when_full": "fail"},
    {"maxsize": 0, "when_full": "fail"}, {"when_full": "fail", "put_timeout": "1s"},
    {"when_full": "fail", "put_timeout": None}, {"maxsize": 0, "put_timeout": "1s"},
    {"maxsize": 0, "put_timeout": None}, {"maxsize": 0, "max_bytes": "1MiB", "put_timeout": "1s"},
    {"maxsize": 0, "max_bytes": "64MiB", "when_full": "drop_oldest"},
    "none", "{item}", "{{{item[0].path}}}", "{item.a[b c]} {item}", "{item._a}", "{item",
    "{item[]}",
    "{x}", {"item_name": "{item[path]}"}, {"item_name": "path"},
]  # fmt: skip


def plain(text):
    """Return the values of a spec as JSON has them."""

    def jsonable(value):
        if isinstance(value, dict):
            return {str(key): jsonable(inner) for key, inner in value.items()}
        return [jsonable(inner) for inner in value] if isinstance(value, list) else value

    return jsonable(loads(text).tree.plain())


def understood(document):
    """Whether mporch finds no error in a spec written as JSON, which is YAML."""
    try:
        compile_spec(loads(json.dumps(document)), this_machine())
    except SpecError:
        return False
    return True


def test_it_is_a_schema_of_2020_12():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_example_fits(path):
    VALIDATOR.validate(plain(load(path).source))


@pytest.mark.parametrize(("page", "text"), SNIPPETS)
def test_each_spec_of_the_pages_fits(page, text):
    VALIDATOR.validate(plain(text))


def test_the_pages_have_specs():
    assert {page for page, _ in SNIPPETS} >= {"README.md", "docs/spec.md", "docs/cli.md"}


def whole(line):
    lines = {"version": "version: 1", "jobs": "jobs: {a: {target: 'm:f'}}"}
    lines[line.partition(":")[0]] = line
    return "\n".join(lines.values())


REJECTED = [
    *((line, whole(line)) for line, *_ in WRONG_VALUES),
    *((line, f"{JOB}    {line}\n") for line, *_ in JOB_VALUES),
    *((key, f"{JOB}    {key}: 3\n") for key in ("needs", "replicas", "taget", "tags", "input ")),
    *((top, f"{JOB}{top}: {{}}\n") for top in ("services", "X-base", "default")),
    ("jobs: {}", "version: 1\njobs: {}"),
    ("input: []", f"{JOB}    input: []\n"),
    ("input: [q, q]", f"{JOB}    input: [q, q]\n"),
    ("after: [b, b]", f"{JOB}    after: [b, b]\n"),
    ("output: {}", f"{JOB}    output: {{}}\n"),
    ("target: os.getcwd", "version: 1\njobs: {a: {target: os.getcwd}}"),
    ("signal", f"{JOB}    terminate: {{signal: TERM}}\n"),
    ("env", f"{JOB}    env: {{A=B: x}}\n"),
    ("on_error", f"{JOB}    input: q\n    on_error: {{'a b': skip}}\n"),
]


@pytest.mark.parametrize(("line", "text"), REJECTED)
def test_what_a_schema_can_refuse_is_refused(line, text):
    assert VALIDATOR.is_valid(plain(text)) == (line in BEYOND)


@pytest.mark.parametrize(("key", "shape"), list(itertools.product(KEYS, Shape)))
def test_a_key_that_does_not_fit_the_jobs_shape_is_refused(key, shape):
    if key == ("call",) and "call" in WRITTEN[shape]:
        return
    keys = ", ".join(filter(None, ["target: 'm:f'", WRITTEN[shape], KEYS[key]]))
    text = f"version: 1\njobs: {{j: {{{keys}}}}}"
    assert VALIDATOR.is_valid(plain(text)) == (shape in FITS[key])


def test_each_key_that_does_not_fit_every_shape_is_tried():
    assert set(KEYS) == set(FITS)


def test_a_disabled_job_may_have_keys_that_do_not_fit():
    text = "version: 1\njobs: {j: {target: 'm:f', enabled: false, on_error: skip}}"
    assert VALIDATOR.is_valid(plain(text))


@pytest.mark.parametrize("path", REFERRING)
def test_a_reference_may_stand_for_any_value_but_not_in_a_key(path):
    document = {"version": 1, "queues": {"q": 1}, "jobs": {"j": {"target": "m:f", "input": "q"}}}
    here = document
    for step in path[:-1]:
        here = here.setdefault(step, {})
    here[path[-1]] = "${vars.x}"
    VALIDATOR.validate(document)
    here[path[-1]] = ["$x"] if path[-1] in {"target", "kwargs"} else {"$x": ["$x"]}
    assert not VALIDATOR.is_valid(document)


def properties():
    """Yield each property with its place, and how a spec with a value for it is written."""
    for name, part in [("", SCHEMA), *SCHEMA["$defs"].items()]:
        for key, value in part.get("properties", {}).items():
            yield name, key, value


@pytest.mark.parametrize(("part", "key", "schema"), list(properties()))
def test_each_key_is_described_with_an_example_or_its_words(part, key, schema):
    *_, form = [schema, *(form for form in schema.get("anyOf", ()) if form != REFERENCE)]
    told = form | schema | SCHEMA["$defs"].get(form.get("$ref", "").rpartition("/")[2], {})
    assert told["description"]
    shown = {"examples", "enum", "const", "properties"} & set(told)
    shown |= {"examples", "enum", "const"} & {
        word for part in told.get("anyOf", []) for word in part
    }
    assert shown or told["type"] == "boolean", key


def shown(schema):
    """Return the values that a property is documented with."""
    return schema.get("examples", []) + ([schema["default"]] if "default" in schema else [])


def called(key, target):
    """Return what a job with that key runs."""
    only_commands = {"command", "stdin", "stdout", "exit_codes", "tty"}
    return {"command": ["true"]} if key in only_commands else {"target": target}


@pytest.mark.parametrize("key", SCHEMA["$defs"]["Job"]["properties"])
def test_examples_and_defaults_of_a_job_are_right_for_mporch_and_schema(key):
    for value in shown(SCHEMA["$defs"]["Job"]["properties"][key]):
        job = {**called(key, "m:f"), "input": "q", key: value}
        document = {"version": 1, "jobs": {"a": job}}
        assert loads(json.dumps(document)).problems == ()
        VALIDATOR.validate(document)


@pytest.mark.parametrize("key", SCHEMA["properties"])
def test_examples_and_defaults_of_the_top_are_right_for_mporch_and_schema(key):
    for value in shown(SCHEMA["properties"][key]):
        document = {"version": 1, "jobs": {"a": {"target": "m:f"}}, key: value}
        assert loads(json.dumps(document)).problems == ()
        VALIDATOR.validate(document)


@pytest.mark.parametrize("key", SCHEMA["$defs"]["Job"]["properties"])
def test_what_mporch_takes_for_a_key_the_schema_takes_too(key):
    taken = 0
    for value in ODD:
        reader = {**called(key, "time:sleep"), "input": "q", key: value}
        if key == "batch":
            reader["call"] = "batch"
        jobs = {"w": {"target": "time:sleep", "output": "q"}, "b": reader}
        document = {"version": 1, "jobs": jobs, "queues": {"q": 1000}}
        if understood(document):
            taken += 1
            assert VALIDATOR.is_valid(document), value
    assert taken or key in {"target", "input", "output", "after", "matrix", "exit_codes"}


def test_what_mporch_takes_for_a_queue_the_schema_takes_and_no_more():
    jobs = {
        "w": {"target": "time:sleep", "output": "q"},
        "r": {"target": "time:sleep", "input": "q"},
    }
    for value in ODD:
        document = {"version": 1, "jobs": jobs, "queues": {"q": value}}
        assert VALIDATOR.is_valid(document) == understood(document), value


@given(st.from_regex(r"[0-9. dhms]{0,12}", fullmatch=True))
def test_the_pattern_of_durations_is_theirs(text):
    assume(not re.search(r"\d{5}", text))  # longer than 100 years is a matter of arithmetic
    document = {"version": 1, "jobs": {"a": {"target": "time:sleep"}}, "timeout": text}
    assert VALIDATOR.is_valid(document) == understood(document)


@given(st.from_regex(r" ?[0-9]{0,3}\.?[0-9]{1,3} ?[kKmMgGtT]?i?[bB](it)? ?", fullmatch=True))
def test_a_size_that_mporch_takes_the_schema_takes_too(text):
    job = {"target": "time:sleep", "limits": {"memory": text}}
    document = {"version": 1, "jobs": {"a": job}}
    if understood(document):
        assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_right_example_of_a_rule_fits(rule):
    assert VALIDATOR.is_valid(plain(text_of(rule).right))


@pytest.mark.parametrize("rule", VALUES, ids=lambda rule: rule.code)
def test_the_wrong_example_of_a_rule_on_keys_and_values_does_not_fit(rule):
    assert VALIDATOR.is_valid(plain(text_of(rule).wrong)) is (rule.severity is Severity.WARNING)
