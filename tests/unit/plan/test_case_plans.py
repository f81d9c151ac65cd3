"""A case becomes a plan: the part that runs, who gives, who stands in, who dies."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.cases import Links, Selector, plan_of_case
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import Shape
from orchestrator.plan.redact import masked
from orchestrator.spec import loads

SPEC = """\
version: 1
timeout: 5m
queues: {lines: 10, facts: 20, odd: 5}
jobs:
  prepare: {target: "functions:task"}
  read: {target: "functions:read", output: lines, after: prepare}
  count: {target: "functions:split", args: ["${SECRET}", 2], input: lines, workers: 3,
          output: {good: facts, bad: odd}, retry: {attempts: 2}, on_error: skip}
  create: {target: "functions:task", after: prepare}
  store: {target: "functions:store", input: facts, call: batch, after: create}
  complain: {target: "functions:complain", input: {q: odd}, daemon: true}
  report: {target: "functions:task", after: {store: finished}}
tests:
  case:
"""


@pytest.fixture
def varied(tmp_path):
    names = ("task", "read", "split", "store", "complain")
    text = "".join(f"def {name}(*args, **kwargs): ...\n" for name in names)
    (tmp_path / "functions.py").write_text(text)

    def vary(case, files=None):
        text = SPEC + f"    {case}\n"
        spec = loads(text, project_dir=tmp_path, environ={"SECRET": "hush"})
        plan = compile_spec(spec, this_machine()).plan
        return plan, plan_of_case(spec, plan, "case", files or {}, this_machine())

    return vary


def test_without_anything_given_the_plan_is_the_real_one_with_the_limit_of_the_case(varied):
    plan, case = varied("{timeout: 10s}")
    assert case == msgspec.structs.replace(plan, timeout_s=10.0)


@pytest.mark.parametrize(("limit", "timeout_s"), [("1h", 300.0), ("null", 300.0), ("1s", 1.0)])
def test_the_shorter_limit_holds(varied, limit, timeout_s):
    assert varied(f"{{timeout: {limit}}}")[1].timeout_s == timeout_s


def test_what_lies_downstream_of_a_given_queue_runs_as_it_is_with_what_it_waits_for(varied):
    plan, case = varied("{give: {lines: [a, 2]}}")
    giver, *_ = case.jobs.values()
    assert list(case.jobs) == [
        "given-lines", "prepare", "count", "create", "store", "complain", "report"
    ]  # fmt: skip
    assert {name: job for name, job in case.jobs.items() if name != giver.name} == {
        name: job for name, job in plan.jobs.items() if name != "read"
    }
    assert (giver.shape, giver.args, giver.outputs) == (Shape.SOURCE, (("a", 2),), ("lines",))
    assert case.queues["lines"].writers == ("given-lines",)
    assert case.queues["facts"] == plan.queues["facts"]


def test_a_queue_that_nobody_writes_any_more_is_given_nothing(varied):
    _, case = varied("{give: {facts: [1]}, replace: {complain: null}}")
    assert list(case.queues) == ["facts", "odd"]
    assert case.jobs["given-odd"].args == ((),)
    assert "count" not in case.jobs


def test_a_stand_in_keeps_its_place_and_nothing_else(varied):
    _, case = varied("{replace: {count: {facts: [1, 2], odd: [x]}, complain: null, read: [a]}}")
    count, complain, read = (case.jobs[name] for name in ("count", "complain", "read"))
    assert count.target.module == "orchestrator.features.testcases.targets"
    assert (count.shape, count.workers, count.inputs) == (Shape.STREAM, 1, ("lines",))
    assert count.write_handles == (("out0", "facts"), ("out1", "odd"))
    assert count.args == ({"out0": (1, 2), "out1": ("x",)},)
    assert (complain.inputs, complain.args, complain.daemon) == (("odd",), ({},), True)
    assert (read.shape, read.args) == (Shape.TASK, ({"out0": ("a",)},))
    assert read.after == varied("{}")[0].jobs["read"].after


def test_who_is_to_die_keeps_its_place_shape_and_policies(varied):
    plan, case = varied(
        "{kill: [{job: count, at_item: 3}, {job: complain}, {job: count, at_item: 2}]}"
    )
    was, count = plan.jobs["count"], case.jobs["count"]
    order, *args = count.args
    assert (order["module"], order["qualname"]) == ("functions", "split")
    assert (order["at_items"], order["shape"]) == ([3, 2], "item")
    assert tuple(args) == was.args
    same = {"target": count.target, "args": count.args, "shown": count.shown, "late": count.late}
    assert msgspec.structs.replace(was, **same) == count
    assert case.jobs["complain"].args[0]["handles"] == ["q"]


def test_values_of_the_environment_are_not_kept(varied):
    for case in (
        '{give: {lines: ["${SECRET}", {deep: ["${SECRET}"]}]}}',
        '{replace: {read: [1, "${SECRET}"]}}',
        '{replace: {count: {odd: ["${SECRET}"]}}}',
        "{kill: {job: count}}",
        '{give: {odd: {target: "functions:read", args: ["${SECRET}"]}}}',
        '{give: {odd: {target: "functions:read", kwargs: {a: "${SECRET}"}}}}',
        '{give: {odd: {items: ["${SECRET}"]}}}',
    ):
        plan = varied(case)[1]
        assert "hush" in str(plan) or "count" not in plan.jobs
        assert "hush" not in str(masked(plan)), case


MATRIX = """\
version: 1
queues: {eu: 5, us: 5}
jobs:
  fetch:
    target: functions:read
    matrix: {region: [eu, us]}
    output: ${matrix.region}
  show: {target: "functions:store", input: [eu, us], call: stream}
tests:
  case:
"""


def of_a_matrix(case, tmp_path):
    (tmp_path / "functions.py").write_text("def read(): yield 1\ndef store(items): ...\n")
    return loads(f"{MATRIX}    {case}\n", project_dir=tmp_path)


@pytest.mark.parametrize(
    ("case", "given"),
    [
        ("{replace: {fetch: [1, 2]}}", {"fetch_eu": [1, 2], "fetch_us": [1, 2]}),
        ("{replace: {fetch: [1], fetch_us: [3]}}", {"fetch_eu": [1], "fetch_us": [3]}),
        ("{replace: {fetch_us: [3], fetch: null}}", {"fetch_eu": [], "fetch_us": [3]}),
    ],
)
def test_the_name_of_a_matrix_stands_for_all_that_it_makes(case, given, tmp_path):
    spec = of_a_matrix(case, tmp_path)
    plan = plan_of_case(spec, compile_spec(spec, this_machine()).plan, "case", {}, this_machine())
    for name, items in given.items():
        assert plan.jobs[name].description.startswith("stands in for functions:read")
        assert plan.jobs[name].args == ({"out0": tuple(items)},)


def test_what_is_wrong_with_such_a_stand_in_is_told_at_its_name(tmp_path):
    spec = of_a_matrix("{replace: {fetch: {eu: [1]}}, kill: {job: fetch_eu}}", tmp_path)
    with pytest.raises(SpecError) as caught:
        compile_spec(spec, this_machine())
    found = [(problem.code, problem.message, problem.path) for problem in caught.value.problems]
    assert found == [
        (
            "MP703",
            "fetch_us does not write to the queue eu",
            "tests.case.replace.fetch.eu",
        ),
        ("MP706", "fetch_eu is replaced, so there is nobody to kill", "tests.case.kill.0.job"),
    ]


def test_items_of_a_file_and_of_a_function(varied, tmp_path):
    (tmp_path / "lines.txt").write_text("x\n")
    _, case = varied("{give: {lines: {file: lines.txt}}}", {"lines": ("x",)})
    assert case.jobs["given-lines"].args == (("x",),)
    _, case = varied('{give: {lines: {target: "functions:read", args: [1], kwargs: {a: 2}}}}')
    giver = case.jobs["given-lines"]
    assert (str(giver.target), giver.args, giver.kwargs) == ("functions:read", (1,), {"a": 2})


JOBS = [f"j{n}" for n in range(6)]
QUEUES = [f"q{n}" for n in range(5)]
some = st.lists(st.sampled_from(QUEUES), max_size=2, unique=True).map(tuple)
pipelines = st.fixed_dictionaries(
    {
        name: st.builds(Links, some, some, st.lists(st.sampled_from(JOBS), max_size=1).map(tuple))
        for name in JOBS
    }
)


@given(pipelines, st.sets(st.sampled_from(QUEUES), min_size=1), st.sets(st.sampled_from(JOBS)))
def test_a_part_has_all_that_follows_and_all_it_waits_for_but_writers_of_what_is_given(
    jobs, given_to, replaced
):
    part = Selector(jobs).part(given_to, replaced)
    readers = {name for name, job in jobs.items() if given_to & set(job.reads)}
    assert readers | replaced <= part
    writers = {name for name, job in jobs.items() if given_to & set(job.writes)}
    for name in part:
        written = set(jobs[name].writes)
        followers = {other for other, job in jobs.items() if written & set(job.reads)}
        assert followers <= part | writers
        assert set(jobs[name].after) <= part | writers
