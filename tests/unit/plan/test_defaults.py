"""A job over `defaults`: mappings are merged to any depth, and null rids it of a default."""

from __future__ import annotations

import msgspec
import pytest
from jsonschema import Draft202012Validator

from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.resolved import resolved, rows_of
from orchestrator.spec import loads
from orchestrator.spec.declaration import SpecPart
from orchestrator.spec.model import JobSettings
from orchestrator.spec.schema import spec_schema

HEAD = "version: 1\nqueues: {q: 5}\n"
SOURCE = "  src: {target: 'os:listdir', output: q, daemon: false, enabled: true}\n"
DEFAULTS = {
    "args": "[1]",
    "kwargs": "{a: 1}",
    "call": "batch",
    "batch": "{size: 3, within: 1s}",
    "workers": "3",
    "timeouts": "{start: 1s, item: 2s, run: 3s}",
    "join": "3s",
    "terminate": "{signal: SIGINT, grace: 2s}",
    "on_failure": "drain",
    "on_error": "skip",
    "item_name": "'{item[path]}'",
    "retry": "{attempts: 3, backoff: {initial: 1s, max: 2s}}",
    "restart": "{max: 1, within: 1s}",
    "limits": "{memory: 1GiB, cpu: 1s, open_files: 99}",
    "recycle": "{max_items: 3, max_rss: 1GiB}",
    "rate": "3/s",
    "ordered": "true",
    "total": "3",
    "daemon": "true",
    "env": "{A: b}",
    "cwd": "/",
    "start_method": "spawn",
    "enabled": "false",
    "tags": "[x]",
    "description": "told",
    "capture": "text",
}
"""For each key of `defaults` a value that is not the one that holds without."""


def settled(defaults, keys):
    """The job `j` as it is planned; the keys stand a line each."""
    lines = "".join(f"    {line}\n" for line in ["target: 'm:f'", *keys])
    text = f"{HEAD}defaults: {{{defaults}}}\njobs:\n{SOURCE}  j:\n{lines}    input: q\n"
    return compile_spec(loads(text), this_machine()).plan.jobs["j"]


@pytest.fixture(autouse=True)
def _target(tmp_path, monkeypatch):
    (tmp_path / "m.py").write_text("def f(x, *args, **kwargs):\n    return x\n")
    monkeypatch.chdir(tmp_path)


def test_each_key_of_the_defaults_is_tried():
    assert DEFAULTS.keys() == JobSettings.model_fields.keys()


@pytest.mark.parametrize("null", ["null", "~", "Null"])
@pytest.mark.parametrize("key", DEFAULTS)
def test_null_rids_a_job_of_a_default(key, null):
    assert settled(f"{key}: {DEFAULTS[key]}", [f"{key}: {null}"]) == settled("", [])


PARTS = [
    (key, inner)
    for key, field in JobSettings.model_fields.items()
    if isinstance(field.default, SpecPart)
    for inner in type(field.default).model_fields
    if (key, inner) not in {("timeouts", "start"), ("restart", "replay"), ("retry", "backoff")}
]


@pytest.mark.parametrize(("key", "inner"), PARTS)
def test_null_rids_a_job_of_a_part_of_a_default(key, inner):
    """The other parts of the default hold as before."""
    call = ["call: batch"] if key == "batch" else []
    rid = settled(f"{key}: {DEFAULTS[key]}", [*call, f"{key}: {{{inner}: null}}"])
    value = loads(f"version: 1\njobs: {{}}\ndefaults: {{{key}: {DEFAULTS[key]}}}").tree
    others = value.plain()["defaults"][key]
    del others[inner]
    assert rid == settled(f"{key}: {msgspec.json.encode(others).decode()}", call)


@pytest.mark.parametrize(
    ("defaults", "keys", "written"),
    [
        (
            "retry: {attempts: 4, backoff: {max: 7s}}",
            ["retry: {backoff: {initial: 1s}}"],
            ["retry: {attempts: 4, backoff: {initial: 1s, max: 7s}}"],
        ),
        (
            "retry: {backoff: {initial: 1s, max: 7s}}",
            ["retry: {backoff: {initial: null}}"],
            ["retry: {backoff: {max: 7s}}"],
        ),
        (
            "retry: {attempts: 3, backoff: {max: 7s}}",
            ["retry: {backoff: null}"],
            ["retry: {attempts: 3}"],
        ),
        (
            "kwargs: {db: {host: h, ports: [1, 2]}, n: 1}",
            ["kwargs: {db: {host: null, ports: [3]}}"],
            ["kwargs: {db: {host: null, ports: [3]}, n: 1}"],
        ),
        (
            "kwargs: {db: {host: h, user: {name: x}}}",
            ["kwargs: {db: {user: {id: 3}}}"],
            ["kwargs: {db: {host: h, user: {name: x, id: 3}}}"],
        ),
        ("kwargs: {db: {host: h}}", ["kwargs: {db: text}"], ["kwargs: {db: text}"]),
        ("kwargs: {db: text}", ["kwargs: {db: {a: 1}}"], ["kwargs: {db: {a: 1}}"]),
        ("env: {A: a, B: b}", ["env: {B: null}"], ["env: {A: a, B: null}"]),
        ("args: [1, 2]", ["args: [3]"], ["args: [3]"]),
        ("on_error: {KeyError: skip}", ["on_error: fail"], ["on_error: fail"]),
        ("timeouts: {start: 5s, run: 9s}", ["timeouts: {start: null}"], None),
    ],
)
def test_a_job_is_laid_over_the_defaults(defaults, keys, written):
    found = settled(defaults, keys)
    if written is None:
        assert (found.timeouts.start_s, found.timeouts.run_s) == (None, 9), "null is no limit there"
    else:
        assert found == settled("", written)


def test_what_is_shown_of_a_job_is_what_holds():
    """Values of the environment are told by their names, wherever they were written."""
    text = (
        f"{HEAD}defaults:\n  kwargs: {{db: {{host: '${{H}}', user: '${{U}}'}}, key: '${{K}}'}}\n"
        "  args: ['${A}']\n  retry: {attempts: 4, backoff: {max: 7s}}\n"
        f"jobs:\n{SOURCE}"
        "  j: {target: 'm:f', input: q, kwargs: {db: {user: me}}, args: null, retry: {backoff: "
        "{initial: 1s}}}\n"
    )
    spec = loads(text, environ={"H": "here", "U": "you", "K": "k", "A": "a"})
    job = compile_spec(spec, this_machine()).plan.jobs["j"]
    assert job.kwargs == {"db": {"host": "here", "user": "me"}, "key": "k"}
    assert dict(job.shown) == {("kwargs", "db", "host"): "${H}", ("kwargs", "key"): "${K}"}
    rows = {
        row["path"]: row
        for row in rows_of(resolved(spec, compile_spec(spec, this_machine()).plan, this_machine()))
    }
    found = {path.removeprefix("jobs.j."): row["value"] for path, row in rows.items()}
    assert found["kwargs.db.host"] == "${H}"
    assert found["kwargs.db.user"] == "me"
    assert found["args"] == []
    assert (found["retry.backoff.max"], found["retry.backoff.initial"]) == ("7s", "1s")
    assert rows["jobs.j.retry.backoff.max"]["origin"]["layer"] == "defaults"
    assert rows["jobs.j.args"]["origin"]["layer"] == "default"


@pytest.mark.parametrize("line", ["retry:", "retry: ${N}", "tags:", "workers: ${N}"])
def test_a_key_with_nothing_after_it_was_forgotten(line):
    text = f"{HEAD}jobs:\n{SOURCE}  j:\n    target: 'm:f'\n    input: q\n    {line}\n"
    problems = loads(text, environ={"N": ""}).problems
    assert [problem.code for problem in problems] == ["MP203"]


def test_null_counts_as_not_written_where_the_key_would_not_fit():
    text = (
        "version: 1\ndefaults: {retry: {attempts: 3}, rate: 3/s}\n"
        "jobs: {j: {target: 'm:f', kwargs: {x: 1}, retry: null, rate: null, restart: null}}\n"
    )
    assert compile_spec(loads(text), this_machine()).plan.jobs["j"].retry.attempts == 1
    schema = Draft202012Validator(spec_schema())
    assert schema.is_valid(loads(text).tree.plain())


@pytest.mark.parametrize("key", DEFAULTS)
def test_the_schema_takes_null_for_each_key_that_is_a_default(key):
    schema = Draft202012Validator(spec_schema())
    job = {"target": "m:f", "input": "q", key: None}
    assert schema.is_valid({"version": 1, "queues": {"q": 1}, "jobs": {"j": job}})


@pytest.mark.parametrize("key", ["target", "input", "output", "after", "matrix"])
def test_null_is_no_value_of_the_keys_that_are_no_defaults(key):
    job = {"target": "m:f", key: None}
    assert not Draft202012Validator(spec_schema()).is_valid({"version": 1, "jobs": {"j": job}})
    target = "" if key == "target" else "target: m:f"
    text = f"version: 1\njobs:\n  j:\n    {target}\n    {key}: null\n"
    assert loads(text).problems[0].code == "MP203"
