"""From text to the typed document, and every problem with its place."""

import pytest

from orchestrator.choices import AfterCondition, ErrorAction, FailurePolicy
from orchestrator.errors import SpecError
from orchestrator.spec import load, loads
from orchestrator.spec.model import JobSettings

JOB = "version: 1\njobs:\n  a:\n    target: m:f\n"


def problems(text):
    return loads(text).problems


def only(text):
    (problem,) = problems(text)
    return problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\njobs: {a: {targt: m:f}}", [("jobs.a.targt", "did you mean target?")]),
        ("vresion: 1\njobs: {a: {target: m:f}}", [("vresion", "did you mean version?")]),
    ],
)
def test_a_misspelt_key_is_told_once_and_not_as_missing_too(text, told):
    assert [(problem.path, problem.hint) for problem in problems(text)] == told


def test_a_missing_key_is_told_beside_an_unknown_one_that_is_another():
    text = f"{JOB}tests: {{one: {{kill: [{{at_itm: 3, bo: 1}}]}}}}\n"
    assert "the key job is missing" in {problem.message for problem in problems(text)}


def test_the_smallest_spec_has_every_default():
    document = loads(JOB).document
    job = document.jobs["a"]
    assert (document.name, document.timeout, document.pythonpath) == ("", None, (".",))
    assert (job.workers, job.call, job.cwd, job.enabled, job.daemon) == (
        1,
        "item",
        ".",
        True,
        False,
    )
    assert (job.timeouts.start, job.timeouts.item, job.timeouts.run) == (60, None, None)
    assert (job.terminate.signal, job.terminate.grace, job.join) == ("SIGTERM", 10, None)
    assert (job.batch.size, job.batch.within) == (100, 0.2)
    assert (job.on_error, job.on_failure) == (ErrorAction.FAIL, FailurePolicy.STOP)
    assert job.start_method is None


def test_the_document_is_frozen():
    document = loads(JOB).document
    with pytest.raises(AttributeError, match="frozen"):
        document.name = "x"


def test_a_queue_is_a_mapping_a_number_or_nothing():
    queues = loads(JOB + "queues: {a: {maxsize: 3}, b: 64, c: , d: 0}\n").document.queues
    assert [queue.maxsize for queue in queues.values()] == [3, 64, 10_000, 0]


def test_a_wiring_is_a_name_a_list_or_a_map():
    text = "version: 1\njobs:\n  a: {target: 'm:f', input: q, output: [r, s], after: {b: ready}}\n"
    job = loads(text).document.jobs["a"]
    assert (job.input, job.output, job.after) == ("q", ("r", "s"), {"b": AfterCondition.READY})


def test_arguments_keep_their_types():
    text = JOB + "    args: [1, '1', 1.5, true, null, [2], {k: [3]}]\n    kwargs: {x: {1: a}}\n"
    job = loads(text).document.jobs["a"]
    assert job.args == (1, "1", 1.5, True, None, [2], {"k": [3]})
    assert job.kwargs == {"x": {1: "a"}}


def test_null_is_no_limit():
    timeouts = loads(JOB + "    timeouts: {start: null}\n").document.jobs["a"].timeouts
    assert timeouts.start is None


def test_free_keys_may_hold_anchors():
    text = "version: 1\nx-base: &b {workers: 3}\njobs:\n  a: {<<: *b, target: 'm:f'}\n"
    assert loads(text).problems == ()
    assert loads(text).document.jobs["a"].workers == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the spec is empty"),
        ("# x\n", "the spec is empty"),
        ("- a\n", "the spec is a list"),
        ("jobs\n", 'the spec is the text "jobs"'),
        ("3\n", "the spec is the number 3"),
    ],
)
def test_a_spec_that_is_no_mapping_is_refused(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        loads(text)
    assert "expected a mapping" in caught.value.problems[0].hint


WRONG_VALUES = [
    ("version: 2", "reads version 1, not 2", "version"),
    ("version: true", "a whole number", "version"),
    ("version: '1'", "a whole number", "version"),
    ("name: 3", "expected text, got the number 3", "name"),
    ("name:", "name is empty", "name"),
    ("timeout: 10", "needs a unit", "timeout"),
    ("timeout: 0s", "longer than nothing", "timeout"),
    ("timeout: 1:30", '"1:30" is not a duration', "timeout"),
    ("timeout: .nan", "needs a unit", "timeout"),
    ("pythonpath: src", "expected a list", "pythonpath"),
    ("pythonpath: [1]", "expected text", "pythonpath.0"),
    ("queues: [a]", "expected a mapping", "queues"),
    ("queues: {q: -1}", "-1 is too small: the least is 0", "queues.q.maxsize"),
    (
        "queues: {q: true}",
        "expected a number or a mapping of keys to values, got the truth value",
        "queues.q",
    ),
    ("queues: {q: {maxsize: 1.5}}", "expected a whole number", "queues.q.maxsize"),
    ("queues: {q: {max_bytes: 100}}", "with a unit", "queues.q.max_bytes"),
    ("queues: {q: {max_bytes: 0MB}}", "0MB is nothing", "queues.q.max_bytes"),
    ("queues: {q-1: 3}", "ends in - and digits", "queues.q-1"),
    ("queues: {-q: 3}", '"-q" is not a name', "queues.-q"),
    ("queues: {1: 3}", "expected text, got the number 1", "queues.1"),
    ("jobs: []", "expected a mapping", "jobs"),
    ("jobs: {a: }", "a is empty", "jobs.a"),
    ("jobs: {a: {target: 3}}", "expected text", "jobs.a.target"),
]
JOB_VALUES = [
    ("workers: 0", "0 is too small: the least is 1", "workers"),
    ("workers: '2'", "expected a whole number or auto, got the text", "workers"),
    ("workers: true", "expected a whole number", "workers"),
    ("workers: 1.0", "expected a whole number", "workers"),
    ("args: 3", "expected a list", "args"),
    ("kwargs: [a]", "expected a mapping", "kwargs"),
    ("kwargs: {1: a}", "expected text", "kwargs.1"),
    ("input: 3", "expected a queue, a list of queues, or a map", "input"),
    ("input: [q, 3]", "expected text", "input.1"),
    ("input: {1x: q}", "cannot be the name of a parameter", "input.1x"),
    ("call: strem", "expected item, batch or stream", "call"),
    ("batch: 10", "expected a mapping", "batch"),
    ("batch: {size: 0}", "0 is too small", "batch.size"),
    ("batch: {within: -1s}", "is not a duration", "batch.within"),
    ("after: 3", "expected a job, a list of jobs, or a map", "after"),
    ("after: {b: done}", "expected ready, succeeded, failed or finished", "after.b"),
    ("timeouts: {item: 10}", "needs a unit", "timeouts.item"),
    ("join: 0s", "longer than nothing", "join"),
    ("terminate: SIGINT", "expected a mapping", "terminate"),
    ("terminate: {grace: 5}", "needs a unit", "terminate.grace"),
    ("on_failure: retry", "expected stop, drain or continue", "on_failure"),
    ("on_error: ignore", "expected fail, skip or dead_letter", "on_error"),
    ("on_error: {ValueError: dead}", "expected fail, skip or dead_letter", "on_error.ValueError"),
    ("retry: 3", "expected a mapping", "retry"),
    ("retry: {attempts: 0}", "0 is too small", "retry.attempts"),
    ("retry: {backoff: {initial: 3}}", "needs a unit", "retry.backoff.initial"),
    ("restart: {max: -1}", "-1 is too small", "restart.max"),
    ("limits: {memory: 500}", "with a unit", "limits.memory"),
    ("limits: {memory: 1MB}", "1MB is too small", "limits.memory"),
    ("limits: {memory: lots}", "is not a size", "limits.memory"),
    ("limits: {cpu: 10}", "needs a unit", "limits.cpu"),
    ("recycle: {max_items: 0}", "0 is too small", "recycle.max_items"),
    ("daemon: yes", "expected true or false", "daemon"),
    ("env: {A: true}", "expected text", "env.A"),
    ("env: [A=1]", "expected a mapping", "env"),
    ("cwd: 3", "expected text", "cwd"),
    ('cwd: "a\\0b"', "NUL", "cwd"),
    ("start_method: thread", "expected forkserver, spawn or fork", "start_method"),
    ("enabled: no", "expected true or false", "enabled"),
    ("description: [x]", "expected text", "description"),
]


@pytest.mark.parametrize(("line", "message", "path"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_path(line, message, path):
    lines = {"version": "version: 1", "jobs": "jobs: {a: {target: 'm:f'}}"}
    lines[line.partition(":")[0]] = line
    problem = only("\n".join(lines.values()))
    assert message in problem.message
    assert problem.path == path


@pytest.mark.parametrize(("line", "message", "path"), JOB_VALUES)
def test_a_wrong_value_of_a_job_is_named_with_its_place(line, message, path):
    problem = only(f"{JOB}    {line}\n")
    assert message in problem.message
    assert problem.path == f"jobs.a.{path}"
    assert problem.line == 5


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("restart: always", "restart: {max: 100}"),
        ("restart: On-Failure", "restart: {max: 100}"),
        ("restart: true", "restart: {max: 100}"),
        ("restart: no", "restart: {max: 0}"),
        ("restart: 3", "restart: {max: 3}"),
        ("retry: {backoff: exponential}", "backoff: {initial: 100ms, max: 10s}"),
        ("retry: {backoff: fixed}", "backoff: {initial: 1s, max: 1s}"),
        ("retry: {backoff: 2}", "backoff: {initial: 2s}"),
        ("timeouts: 10s", "timeouts: {item: 10s}"),
        ("timeouts: 10", "timeouts: {item: 10s}"),
        ("terminate: 5s", "terminate: {grace: 5s}"),
        ("terminate: SIGINT", "terminate: {signal: SIGINT}"),
        ("batch: 2s", "batch: {within: 2s}"),
        ("limits: 1GiB", "limits: {memory: 1GiB}"),
        ("recycle: 1GiB", "recycle: {max_rss: 1GiB}"),
        ("retry: true", "retry: {attempts: 3}"),
    ],
)
def test_one_word_for_what_is_a_mapping_leads_on_to_its_keys(line, right):
    assert right in only(f"{JOB}    {line}\n").hint
    mended = f"retry: {{attempts: 2, {right}}}" if right.startswith("backoff") else right
    assert problems(f"{JOB}    {mended}\n") == ()


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("on_error: retry", "how often an item is tried is retry: {attempts: N}; "),
        ("on_error: ignore", "did you mean skip?"),
        ("on_error: dlq", "did you mean dead_letter?"),
        ("on_error: {ValueError: abort}", "did you mean fail?"),
        ("kwargs: [path]", "as in kwargs: {path: …}; without names: args: [path]"),
        ("kwargs: path", 'write args: ["path"], or its name: kwargs: {NAME: "path"}'),
        ("args: {path: x}", "what has a name belongs under kwargs: {path: …}"),
        ("env: [A=b]", "env: {A: …}"),
        ("after: [a, {c: failed}]", "write one mapping: after: {a: succeeded, c: failed}"),
        ("backoff: 2", "did you mean retry: {backoff: {initial: …}}?"),
        ("retries: 2", "did you mean retry: {attempts: …}?"),
    ],
)
def test_the_right_form_is_told_for_what_other_tools_have(line, hint):
    assert hint in only(f"{JOB}    {line}\n").hint


@pytest.mark.parametrize("line", ["after: [[], {c: failed}]", "after: [{}]", "after: [1, {}]"])
def test_a_list_that_is_no_list_of_jobs_gets_no_form(line):
    assert not any("one mapping" in problem.hint for problem in problems(f"{JOB}    {line}\n"))


@pytest.mark.parametrize("key", sorted(JobSettings.model_fields))
def test_every_key_but_start_method_needs_a_value(key):
    found = problems(f"{JOB}    {key}:\n")
    if key in {"start_method", "join", "rate", "item_name", "total"}:
        assert found == ()
    else:
        assert [(p.message, p.line, p.column) for p in found] == [(f"{key} is empty", 5, 5)]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("needs: b", "after"), ("depends_on: b", "after"), ("dependsOn: b", "after"),
        ("replicas: 2", "workers"), ("concurrency: 2", "workers"), ("Workers: 2", "workers"),
        ("processes: 2", "workers"), ("script: x", "command"), ("inputs: q", "input"),
        ("queue: q", "input or output"), ("environment: {}", "env"), ("timeout: 3s", "timeouts: {"),
        ("on-error: skip", "on_error"), ("discription: x", "description"), ("wrkers: 2", "workers"),
    ],
)  # fmt: skip
def test_an_unknown_key_of_a_job_says_what_was_meant(line, hint):
    problem = only(f"{JOB}    {line}\n")
    assert problem.message == f'unknown key "{line.partition(":")[0]}"'
    assert problem.hint.startswith(f"did you mean {hint}")
    assert (problem.line, problem.column) == (5, 5)


@pytest.mark.parametrize("key", ["nice"])
def test_a_key_of_a_later_version_is_said_to_be_one(key):
    assert "not in this version" in only(f"{JOB}    {key}: 1\n").hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("services: {}", "did you mean jobs?"),
        ("default: {}", "did you mean defaults?"),
        ("queues: {q: {size: 3}}", "did you mean maxsize?"),
        ("queues: {q: {durable: on}}", "durable is not in this version of mporch; remove it"),
        ("defaults: {target: x}", "target belongs to a job; it has no default"),
        ("defaults: {replicas: 3}", "did you mean workers?"),
        (
            "defaults: {targt: x}",
            "did you mean target? It belongs to a job, and has no default",
        ),
        ("defaults: {needs: x}", "did you mean after? It belongs to a job, and has no default"),
        (
            "retries: 3",
            "that belongs to a job; for all jobs: defaults: {retry: {attempts: …}}",
        ),
        ("workers: 3", "that belongs to a job; for all jobs: defaults: {workers: …}"),
        ("target: 'a:b'", "target belongs to a job: jobs: {NAME: {target: …}}"),
        ("defaults: {terminate: {timeout: 3s}}", "did you mean grace?"),
    ],
)
def test_an_unknown_key_elsewhere_says_what_was_meant(text, hint):
    assert only(f"{text}\n{JOB}").hint == hint


def test_all_problems_are_found_at_once_and_the_rest_is_kept():
    text = (
        "version: 1\nnmae: x\ntimeout: 5\nqueues: {q: -1, r: 2}\njobs:\n"
        "  a: {target: 'm:f', workers: 0, on_failure: drain}\n  b: {workers: 2}\n"
    )
    spec = loads(text)
    assert sorted((p.line, p.path) for p in spec.problems) == [
        (2, "nmae"), (3, "timeout"), (4, "queues.q.maxsize"), (6, "jobs.a.workers"),
    ]  # fmt: skip
    assert spec.document.jobs["a"].on_failure is FailurePolicy.DRAIN
    assert spec.document.jobs["b"].workers == 2
    assert spec.names("jobs") == ("a", "b")


def test_hundreds_of_problems_are_cut_short_with_a_count():
    found = problems("version: 1\njobs: {}\n" + "".join(f"k{n}: 1\n" for n in range(500)))
    assert len(found) == 201
    assert found[-1].message == "and 300 more problems from here on"


def test_a_problem_with_the_yaml_itself_is_not_told_twice():
    problem = only(f"{JOB}    workers: 010\n")
    assert "starts with a zero" in problem.message


def test_a_value_behind_an_alias_is_told_where_it_was_written():
    text = "version: 1\nx-t: &t {item: 10}\njobs:\n  a: {target: 'm:f', timeouts: *t}\n"
    assert (only(text).line, only(text).column) == (2, 16)


def test_a_path_leads_to_its_position():
    spec = loads(JOB + "    input: [q,\n      r]\n")
    assert spec.position(("jobs", "a", "input", 1))[:2] == (6, 7)
    assert spec.position(("jobs", "a", "input"), key=True)[:2] == (5, 5)
    assert spec.position(("jobs", "a", "nothing"))[:2] == (3, 3)
    assert spec.position(())[:2] == (1, 1)


def test_the_name_defaults_to_that_of_the_folder(tmp_path):
    (tmp_path / "census").mkdir()
    (tmp_path / "census" / "jobs.yaml").write_text(JOB)
    assert load(tmp_path / "census" / "jobs.yaml").name == "census"
    assert loads(JOB + "name: other\n", project_dir=tmp_path).name == "other"
