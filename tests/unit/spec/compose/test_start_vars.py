"""What is known only at a start stands in what a worker is given, and nowhere else."""

import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.redact import masked
from orchestrator.plan.start_vars import at_start, settled, without_late
from orchestrator.spec import loads
from orchestrator.spec.yaml.nodes import StartVar

JOB = "version: 1\njobs:\n  a:\n    target: os:getcwd\n"


def plan_of(text, **environ):
    return compile_spec(
        loads(text, name="jobs.yaml", project_dir="/tmp", environ=environ), this_machine()
    ).plan


def given(more, top="", **environ):
    """Return job `a` as its second worker of three gets it."""
    plan = plan_of(JOB.replace("jobs:", f"{top}jobs:") + f"    workers: 3\n{more}", **environ)
    job = plan.jobs["a"]
    known = at_start(plan, job, run="r1", run_dir="/runs/r1", worker="a-2", index=2)
    return settled(job, plan.project_dir, known)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${run.id}", "r1"),
        ("${run.dir}/out", "/runs/r1/out"),
        ("${run.name}", "tmp"),
        ("${worker.name}", "a-2"),
        ("${worker.job}", "a"),
        ("${worker.index}", 2),
        ('"${worker.index}"', 2),
        ("${worker.count}", 3),
        ("${worker.index} of ${worker.count}", "2 of 3"),
        ("0${worker.index}", "02"),
        ("${worker.index:-7}", 2),
        ("$${run.id}${run.id}", "${run.id}r1"),
        ("${vars.out}", "/runs/r1/out"),
        ("${vars.deep.list.0}${run.id}", None),
        ("${RAW}-${run.id}", "${run.id}-r1"),
        ("[x, '${worker.index}', {y: '${run.id}'}]", ["x", 2, {"y": "r1"}]),
    ],
)
def test_a_value_is_put_in_with_its_type_when_a_worker_starts(written, expected):
    top = "vars: {out: '${run.dir}/out', deep: {list: a}}\n"
    if expected is None:
        with pytest.raises(SpecError):
            given(f"    kwargs:\n      v: {written}\n", top)
        return
    found = given(f"    kwargs:\n      v: {written}\n", top, RAW="${run.id}").kwargs["v"]
    assert (found, type(found)) == (expected, type(expected))


def test_args_env_and_cwd_take_it_and_what_is_in_env_is_text():
    job = given(
        "    args: ['${run.id}', 1]\n    env: {N: '${worker.index}', GONE: null}\n"
        "    cwd: ${run.dir}\n"
    )
    assert job.args == ("r1", 1)
    assert job.env == (("N", "2"), ("GONE", None))
    assert job.cwd == "/runs/r1"
    assert job.late == ()


def test_a_folder_that_begins_with_no_slash_lies_in_the_folder_of_the_spec():
    assert given("    cwd: ./${worker.name}\n").cwd == "/tmp/a-2"


def test_defaults_take_it_for_each_job():
    job = given("", "defaults: {kwargs: {v: '${worker.job}'}, cwd: '${run.dir}'}\n")
    assert (dict(job.kwargs), job.cwd) == ({"v": "a"}, "/runs/r1")


def test_before_a_run_the_text_stands_for_it():
    plan = plan_of(f"{JOB}    args: ['${{run.id}}-${{TOKEN}}']\n    cwd: ${{run.dir}}\n", TOKEN="t")
    for job in (plan.jobs["a"], masked(plan).jobs["a"]):
        assert job.cwd == "${run.dir}"
    assert masked(plan).jobs["a"].args == ("${run.id}-${TOKEN}",)
    assert masked(plan).jobs["a"].late == ()


def test_before_a_run_there_is_no_such_variable_nor_folder():
    plan = plan_of(f"{JOB}    env: {{N: '${{worker.index}}', M: x}}\n    cwd: ${{run.dir}}\n")
    job = without_late(plan.jobs["a"], plan.project_dir)
    assert (job.env, job.cwd) == ((("M", "x"),), "/tmp")


@pytest.mark.parametrize(
    "key",
    ["workers", "description", "target", "input", "after", "enabled", "start_method", "tagged"],
)
def test_elsewhere_it_is_refused_and_nothing_that_follows_is_told(key):
    text = f"version: 1\njobs:\n  a:\n    target: os:getcwd\n    {key}: ${{run.id}}\n"
    if key == "target":
        text = text.replace("    target: os:getcwd\n", "", 1)
    if key == "tagged":
        text = f"{JOB}    matrix:\n      a: ['${{run.id}}']\n"
    with pytest.raises(SpecError) as caught:
        compile_spec(loads(text), this_machine())
    (problem,) = caught.value.problems
    assert problem.code == "MP150"
    assert problem.message == "${run.id} is not known yet where this is needed"


def test_all_that_is_not_known_is_named():
    with pytest.raises(SpecError) as caught:
        compile_spec(
            loads(f"{JOB}    description: ${{run.id}} of ${{worker.name}}\n"), this_machine()
        )
    (problem,) = caught.value.problems
    assert problem.message.startswith("${run.id} and ${worker.name} are not known yet")


def test_each_name_has_a_value_at_a_start():
    plan = plan_of(JOB)
    known = at_start(plan, plan.jobs["a"], run="r", run_dir="/r", worker="a-1", index=1)
    assert set(known) == set(StartVar)


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("", ["MP403"]),
        ("${worker.name}", ["MP403"]),
        ("of ${worker.index}", []),
    ],
)
def test_a_source_whose_workers_are_told_which_they_are_may_have_several(given, codes):
    text = f"{JOB}    workers: 2\n    args: ['{given}']\n"
    found = compile_spec(loads(text), this_machine()).warnings
    assert [problem.code for problem in found if problem.code == "MP403"] == codes
