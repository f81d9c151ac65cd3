"""The part of a plan below some queues."""

from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import JobPlan, Shape, Target
from orchestrator.plan.select import downstream
from orchestrator.spec import loads

SPEC = """\
version: 1
queues: {a: 5, b: 6, c: 7, d: 8, "5": 9}
jobs:
  top: {target: "m:f", output: a}
  other: {target: "m:f", output: [c, "5"]}
  mid: {target: "m:f", input: a, output: [b, d], after: {top: ready}}
  end: {target: "m:f", input: [b, c], call: stream, after: {mid: ready, other: finished}}
  sink: {target: "m:f", input: {q: d, p: "5"}}
  late: {target: "m:f", after: end}
  replay-b: {target: "m:f"}
"""


def source(name: str, queue: str) -> JobPlan:
    return JobPlan(
        name=name, target=Target(module="x", qualname="y"), shape=Shape.SOURCE, outputs=(queue,)
    )


def restricted(tmp_path, *queues):
    (tmp_path / "m.py").write_text("def f(*args, **kwargs): ...\n")
    plan = compile_spec(loads(SPEC, project_dir=tmp_path), this_machine()).plan
    return plan, downstream(plan, set(queues), source)


def test_upstream_and_side_jobs_are_left_out_and_all_that_is_fed_stays(tmp_path):
    _, part = restricted(tmp_path, "a")
    assert [*part.jobs] == ["replay-a", "replay-c", "replay-5_", "mid", "end", "sink"]


def test_each_queue_has_a_writer_and_each_wire_a_job_at_both_ends(tmp_path):
    for queue in ("a", "b", "c", "d"):
        _, part = restricted(tmp_path, queue)
        for each in part.queues.values():
            assert each.writers
            assert each.readers
            assert all(each.name in part.jobs[job].writes for job in each.writers)
            assert all(each.name in part.jobs[job].reads for job in each.readers)
        for job in part.jobs.values():
            assert {*job.reads, *job.writes} <= set(part.queues)


def test_a_queue_of_letters_that_is_also_fed_from_above_keeps_both_writers(tmp_path):
    _, part = restricted(tmp_path, "a", "b")
    assert part.queues["b"].writers == ("replay-b_", "mid")


def test_after_holds_only_for_jobs_that_stay(tmp_path):
    plan, part = restricted(tmp_path, "a")
    assert part.jobs["mid"].after == ()
    assert [name for name, _ in part.jobs["end"].after] == ["mid"]
    assert len(plan.jobs["end"].after) == 2


def test_everything_else_of_a_job_and_queue_stays_as_it_was(tmp_path):
    plan, part = restricted(tmp_path, "d")
    assert part.jobs["sink"] == plan.jobs["sink"]
    assert part.queues["d"].maxsize == 8
    assert (part.name, part.project_dir, part.pythonpath) == (
        plan.name,
        plan.project_dir,
        plan.pythonpath,
    )
