"""From the spec to the plan."""

import msgspec
import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec, with_bounds_of
from orchestrator.plan.model import (
    AfterCondition,
    BatchPlan,
    ErrorAction,
    FailurePolicy,
    Plan,
    QueuePlan,
    Shape,
    StartMethod,
    TerminatePlan,
    TimeoutsPlan,
)
from orchestrator.spec import load, loads

PIPE = """
version: 1
queues:
  q: %s
jobs:
  a: {target: "os:getcwd", output: q}
  z: {target: "os:getcwd", input: q}
"""
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
        "odd": (10_000, ("parse",), ("store",)),
        "mailbox": (0, ("post",), ("read",)),
    }


@pytest.mark.parametrize(
    ("queue", "bound"),
    [
        ("", (10_000, None, 16 << 20)),
        ("{}", (10_000, None, 16 << 20)),
        ("{maxsize: null, when_full: fail}", (10_000, None, 16 << 20)),
        ("{max_bytes: 1MB}", (10_000, 1_000_000, None)),
        ("10000", (10_000, None, None)),
        ("{maxsize: 7, max_bytes: 1MB}", (7, 1_000_000, None)),
        ("0", (0, None, None)),
    ],
)
def test_only_a_queue_without_any_written_bound_has_a_soft_one(queue, bound):
    plan = compile_spec(loads(PIPE % queue), this_machine()).plan
    made = plan.queues["q"]
    assert (made.maxsize, made.max_bytes, made.soft_bytes) == bound


def test_a_run_that_was_begun_with_other_defaults_keeps_its_bounds():
    spec = loads(PIPE % "" + "  b: {target: 'os:getcwd', input: q, call: batch}\n")
    plan = compile_spec(spec, this_machine()).plan
    older = QueuePlan(name="q", maxsize=1000, readers=("b",))
    kept = msgspec.structs.replace(plan, queues={"q": older})
    bound = with_bounds_of(plan, kept, spec).queues["q"]
    assert (bound.maxsize, bound.soft_bytes) == (1000, None)
    assert bound.writers == plan.queues["q"].writers
    unread = msgspec.structs.replace(plan, queues={"q": QueuePlan(name="q", maxsize=0)})
    assert with_bounds_of(plan, unread, spec) == plan, "no reader was chosen, so it had no bounds"
    written = loads(PIPE % "500")
    other = compile_spec(written, this_machine()).plan
    assert with_bounds_of(other, kept, written) == other


def test_what_an_ordered_job_holds_back_is_no_more_for_a_queue_without_a_maxsize():
    job = "  o: {target: 'os:getcwd', input: q, output: r, ordered: true, workers: 2}\n"
    rest = "  e: {target: 'os:getcwd', input: r}\n"
    spec = loads((PIPE % "\n  r:").replace('  z: {target: "os:getcwd", input: q}\n', job + rest))
    ordered = compile_spec(spec, this_machine()).plan.jobs["o"].ordered
    assert ordered is not None
    assert ordered.window == 1002


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
