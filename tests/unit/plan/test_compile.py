"""From the spec to the plan."""

import msgspec
import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import (
    AfterCondition,
    BatchPlan,
    ErrorAction,
    FailurePolicy,
    Plan,
    Shape,
    StartMethod,
    TerminatePlan,
    TimeoutsPlan,
)
from orchestrator.spec import load, loads

FULL = """
version: 1
name: all
timeout: 1h
pythonpath: [., /opt/lib]
defaults:
  terminate: {grace: 5s}
  timeouts: {start: 30s}
  env: {A: x, B: x}
  kwargs: {a: 1, b: 1}
  on_failure: drain
queues: {files: {maxsize: 256, max_bytes: 2MB}, facts: 64, odd: , mailbox: 0}
jobs:
  find: {target: "os:listdir", args: [1, x], output: files, start_method: spawn}
  parse:
    target: os:getcwd
    input: files
    output: {good: facts, bad: odd}
    workers: 2
    timeouts: {item: 10s, run: 30m}
    on_error: {SyntaxError: skip, else: fail}
    env: {B: y, C: 3, D: null}
    kwargs: {b: 2}
    terminate: {signal: SIGINT}
    on_failure: continue
  store: {target: "os:getcwd", input: [odd, facts], call: batch, join: 30s, cwd: sub}
  post: {target: "os:getcwd", output: {q: mailbox}, after: [store]}
  read: {target: "os:getcwd", input: {q: mailbox}, after: {post: ready}, description: reads}
  status: {target: "os:getcwd", daemon: true}
  off: {target: "os:getcwd", enabled: false}
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "jobs.yaml").write_text(FULL)
    return compile_spec(load(tmp_path / "jobs.yaml"), this_machine()).plan


def test_the_plan_holds_absolute_paths_and_seconds(plan, tmp_path):
    assert plan.name == "all"
    assert plan.spec_path == str(tmp_path / "jobs.yaml")
    assert plan.project_dir == str(tmp_path)
    assert plan.pythonpath == (str(tmp_path), "/opt/lib")
    assert plan.timeout_s == 3600
    assert plan.jobs["store"].cwd == str(tmp_path / "sub")
    assert plan.jobs["find"].cwd == str(tmp_path)


def test_shapes_follow_from_the_wiring(plan):
    assert {name: job.shape for name, job in plan.jobs.items()} == {
        "find": Shape.SOURCE,
        "parse": Shape.ITEM,
        "store": Shape.BATCH,
        "post": Shape.TASK,
        "read": Shape.HANDLES,
        "status": Shape.TASK,
    }


def test_queues_know_their_readers_and_writers(plan):
    assert plan.queues["files"].max_bytes == 2_000_000
    assert {q.name: (q.maxsize, q.writers, q.readers) for q in plan.queues.values()} == {
        "files": (256, ("find",), ("parse",)),
        "facts": (64, ("parse",), ("store",)),
        "odd": (1000, ("parse",), ("store",)),
        "mailbox": (0, ("post",), ("read",)),
    }


def test_inputs_keep_their_order_and_handles_their_parameters(plan):
    assert plan.jobs["store"].inputs == ("odd", "facts")
    assert plan.jobs["parse"].write_handles == (("good", "facts"), ("bad", "odd"))
    assert plan.jobs["read"].read_handles == (("q", "mailbox"),)
    assert plan.jobs["parse"].outputs == ()


def test_a_jobs_own_keys_lie_over_the_defaults_map_by_map(plan):
    parse, find = plan.jobs["parse"], plan.jobs["find"]
    assert parse.timeouts == TimeoutsPlan(start_s=30, item_s=10, run_s=1800)
    assert parse.terminate == TerminatePlan(signal=2, grace_s=5)
    assert dict(parse.env) == {"A": "x", "B": "y", "C": "3", "D": None}
    assert parse.kwargs == {"a": 1, "b": 2}
    assert parse.on_failure is FailurePolicy.CONTINUE
    assert find.terminate == TerminatePlan(signal=15, grace_s=5)
    assert find.on_failure is FailurePolicy.DRAIN


def test_policies_are_enums(plan):
    assert plan.jobs["parse"].on_error.by_exception == (("SyntaxError", ErrorAction.SKIP),)
    assert plan.jobs["parse"].on_error.otherwise is ErrorAction.FAIL
    assert plan.jobs["find"].start_method is StartMethod.SPAWN
    assert plan.jobs["post"].after == (("store", AfterCondition.SUCCEEDED),)
    assert plan.jobs["read"].after == (("post", AfterCondition.READY),)


def test_a_batch_whose_size_was_not_written_fits_its_queues(plan):
    assert plan.jobs["store"].batch == BatchPlan(size=64, within_s=0.2)


def test_arguments_reach_the_plan_as_they_were_written(plan):
    assert plan.jobs["find"].args == (1, "x")


def test_a_scalar_error_policy_holds_for_all_exceptions(compiled):
    jobs = {"w": "output: q", "r": "input: q, on_error: skip"}
    policy = compiled(jobs, "queues: {q: }").plan.jobs["r"].on_error
    assert (policy.by_exception, policy.otherwise) == ((), ErrorAction.SKIP)


def test_disabled_by_default_and_enabled_by_itself(compiled):
    plan = compiled({"a": "", "b": "enabled: true"}, "defaults: {enabled: false}").plan
    assert list(plan.jobs) == ["b"]


def test_the_plan_is_the_same_after_a_trip_through_json(plan):
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_warnings_come_with_the_plan(plan, tmp_path):
    warnings = compile_spec(load(tmp_path / "jobs.yaml"), this_machine()).warnings
    assert [warning.path for warning in warnings] == ["pythonpath.1", "queues.mailbox.maxsize"]


def test_errors_are_in_the_order_of_the_file_with_the_warnings_among_them():
    text = "version: 1\nqueues:\n  q: 0\njobs:\n  a: {target: os, input: q}\n  b: {target: os}\n"
    with pytest.raises(SpecError) as caught:
        compile_spec(loads(text), this_machine())
    lines = [(p.line, p.severity.value) for p in caught.value.problems]
    assert lines == [(3, "error"), (3, "warning"), (5, "error"), (6, "error")]


def test_a_thousand_jobs_compile(compiled):
    jobs = {"s": "output: q0"} | {f"j{n}_": f"input: q{n}, output: q{n + 1}" for n in range(998)}
    jobs["e"] = "input: q998"
    queues = "queues: {" + ", ".join(f"q{n}: " for n in range(999)) + "}"
    assert len(compiled(jobs, queues).plan.jobs) == 1000
