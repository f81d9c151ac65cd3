"""A matrix makes a job of each combination of its values, and each is as if it had been written."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import Layers, loads
from orchestrator.spec.types import is_name

HEAD = "version: 1\njobs:\n  f:\n    target: os:getcwd\n"


def compiled(text, *, layers=None, **environ):
    spec = loads(text, name="jobs.yaml", environ=environ, layers=layers)
    return compile_spec(spec, this_machine())


def made(matrix, *, more="", head=HEAD, **environ):
    """Return the arguments `a` and `b` of each job made, by its name."""
    text = (
        f'{head}    matrix: {matrix}\n    args: ["${{matrix.a:-no}}", "${{matrix.b:-no}}"]\n{more}'
    )
    jobs = compiled(text, **environ).plan.jobs
    return {name: job.args for name, job in jobs.items()}


def told(text, **environ):
    with pytest.raises(SpecError) as caught:
        compiled(text, **environ)
    return caught.value.problems


def refused(matrix, **environ):
    (problem,) = told(f"{HEAD}    matrix: {matrix}\n    args: ['${{matrix.a}}']\n", **environ)
    return problem


def test_the_jobs_are_the_product_of_the_values_in_written_order():
    assert made("{a: [eu, us], b: [1, 2]}") == {
        "f_eu_1": ("eu", 1),
        "f_eu_2": ("eu", 2),
        "f_us_1": ("us", 1),
        "f_us_2": ("us", 2),
    }


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("[1.10, 2]", ["f_1_10", "f_2"]),
        ("[true, null]", ["f_true", "f_null"]),
        ("[eu-west-1, eu-west-2]", ["f_eu_west_1", "f_eu_west_2"]),
        ("[-1, 0, 1]", ["f_minus1", "f_0", "f_1"]),
        ("['a b', a-b]", ["f_1", "f_2"]),
        ("[größe, '']", ["f_1", "f_2"]),
        ("[x, {y: 1}, [z]]", ["f_1", "f_2", "f_3"]),
        ("['${PLACE}', b]", ["f_1", "f_2"]),
    ],
)
def test_a_name_has_the_letters_and_digits_of_the_value_or_its_place(values, names):
    assert list(made(f"{{a: {values}}}", PLACE="x")) == names


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1", 1), ("1.10", 1.1), ("true", True), ("null", None), ("'1'", "1"), ("[1, x]", [1, "x"]),
        ("{x: {y: 1}}", {"x": {"y": 1}}), ("'${N}'", "8"), ("'${vars.n}'", 8),
    ],
)  # fmt: skip
def test_a_value_keeps_its_type_where_it_stands_alone(written, expected):
    head = HEAD.replace("jobs:", "vars: {n: 8}\njobs:")
    text = f"{head}    matrix: {{a: [{written}]}}\n    args: ['${{matrix.a}}']\n"
    (job,) = compiled(text, N="8").plan.jobs.values()
    (found,) = job.args
    assert (found, type(found)) == (expected, type(expected))


def test_a_value_may_stand_within_a_text_and_lead_into_a_mapping():
    text = (
        f"{HEAD}    matrix: {{db: [{{host: h, port: 1}}]}}\n"
        "    args: ['${matrix.db.host}:${matrix.db.port}', '${matrix.db.port}']\n"
    )
    assert compiled(text).plan.jobs["f_1"].args == ("h:1", 1)


def test_values_may_be_a_list_of_vars_and_the_matrix_a_mapping_of_them():
    head = HEAD.replace("jobs:", "vars: {l: [x, y], m: {a: ['${vars.l.0:-z}']}}\njobs:")
    assert list(made('{a: "${vars.l}"}', head=head)) == ["f_x", "f_y"]
    assert list(made('"${vars.m}"', head=head)) == ["f_z"]


@pytest.mark.parametrize(
    ("matrix", "names"),
    [
        ("{a: [x, y], b: [1, 2], exclude: [{a: x, b: 2}]}", ["f_x_1", "f_y_1", "f_y_2"]),
        ("{a: [x, y], b: [1, 2], exclude: [{b: 2}]}", ["f_x_1", "f_y_1"]),
        ("{a: [x, y], exclude: [{a: z}]}", ["f_x", "f_y"]),
        ("{a: [1, 2], exclude: [{a: '1'}]}", ["f_1", "f_2"]),
        ("{a: [x], include: [{a: y, b: 3}]}", ["f_x", "f_y_3"]),
        ("{a: [x, y], include: [{a: y, b: 3}]}", ["f_x", "f_y"]),
        ("{include: [{a: x}, {a: y, b: 3}]}", ["f_x", "f_y_3"]),
        ("{a: [x, y], exclude: [{a: x}], include: [{a: x, b: 1}]}", ["f_y", "f_x_1"]),
    ],
)
def test_combinations_are_excluded_and_included(matrix, names):
    assert list(made(matrix)) == names


def test_what_is_included_adds_to_each_combination_that_it_agrees_with():
    """The example of GitHub's documentation."""
    matrix = (
        "{fruit: [apple, pear], animal: [cat, dog], include: [{color: green}, "
        "{color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana}, "
        "{fruit: banana, animal: cat}]}"
    )
    text = f"{HEAD}    matrix: {matrix}\n    kwargs:\n" + "".join(
        f"      {name}: ${{matrix.{name}:-}}\n" for name in ("fruit", "animal", "color", "shape")
    )
    jobs = compiled(text).plan.jobs
    assert [" ".join(filter(None, job.kwargs.values())) for job in jobs.values()] == [
        "apple cat pink circle",
        "apple dog green circle",
        "pear cat pink",
        "pear dog green",
        "banana",
        "banana cat",
    ]


def test_queues_are_named_by_values():
    text = (
        "version: 1\nqueues: {q_eu: 1, q_us: 2}\njobs:\n"
        "  put: {target: 'os:getcwd', matrix: {r: [eu, us]}, output: 'q_${matrix.r}'}\n"
        "  get: {target: 'os:getcwd', matrix: {r: [eu, us]}, input: ['q_${matrix.r}']}\n"
    )
    plan = compiled(text).plan
    assert plan.queues["q_us"].writers == ("put_us",)
    assert plan.queues["q_eu"].readers == ("get_eu",)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("f", [("f_x", "succeeded"), ("f_y", "succeeded")]),
        ("[f, g]", [("f_x", "succeeded"), ("f_y", "succeeded"), ("g", "succeeded")]),
        ("{f: finished, g: ready}", [("f_x", "finished"), ("f_y", "finished"), ("g", "ready")]),
        ("f_y", [("f_y", "succeeded")]),
        ("'${vars.first}'", [("f_x", "succeeded"), ("f_y", "succeeded")]),
    ],
)
def test_who_waits_for_the_job_waits_for_all_that_are_made_of_it(after, expected):
    text = (
        "version: 1\nvars: {first: f}\njobs:\n"
        "  f: {target: 'os:getcwd', matrix: {a: [x, y]}}\n"
        f"  g: {{target: 'os:getcwd'}}\n  last: {{target: 'os:getcwd', after: {after}}}\n"
    )
    found = compiled(text).plan.jobs["last"].after
    assert [(job, state.value) for job, state in found] == expected


def test_a_made_job_may_wait_for_the_one_of_the_same_values():
    text = (
        "version: 1\njobs:\n  f: {target: 'os:getcwd', matrix: {a: [x, y]}}\n"
        "  g: {target: 'os:getcwd', matrix: {a: [x, y]}, after: 'f_${matrix.a}'}\n"
    )
    jobs = compiled(text).plan.jobs
    assert [[job for job, _ in jobs[f"g_{a}"].after] for a in "xy"] == [["f_x"], ["f_y"]]


def test_what_is_laid_over_counts_before_the_jobs_are_made():
    text = f"{HEAD}    matrix: {{a: [x, y]}}\n    workers: 1\n"
    layers = Layers(settings=("jobs.f.workers=2", "jobs.f.matrix.a.0=z"))
    jobs = compiled(text, layers=layers).plan.jobs
    assert {name: job.workers for name, job in jobs.items()} == {"f_z": 2, "f_y": 2}


def test_what_is_merged_from_an_anchor_has_the_values_of_each_job():
    text = (
        "version: 1\nx-base: &base {target: 'os:getcwd', args: ['${matrix.a}']}\njobs:\n"
        "  f: {<<: *base, matrix: {a: [x]}}\n  g: {<<: *base, matrix: {a: [y]}}\n"
    )
    jobs = compiled(text).plan.jobs
    assert [job.args for job in jobs.values()] == [("x",), ("y",)]


@pytest.mark.parametrize(
    ("matrix", "message", "column"),
    [
        ("{}", "this matrix makes no job", 5),
        ("{include: []}", "this matrix makes no job", 5),
        ("{a: [x], exclude: [{a: x}]}", "this matrix makes no job", 5),
        ("{a: []}", "a has no value, so this matrix makes no job", 14),
        ("{a: [x, y, x]}", 'a has the value "x" twice', 24),
        ("{a: [x], exclude: [{c: x}]}", "there is no c in this matrix", 33),
        ("{a.b: [x]}", '"a.b" cannot be named as ${matrix.…}', 14),
        ("{3: [x]}", "3 cannot be named as ${matrix.…}", 14),
        ("{a: [x], include: [{b.c: x}]}", '"b.c" cannot be named as ${matrix.…}', 33),
        ("{a: x}", 'expected a list, got the text "x"', 17),
        ("{a: }", "a is empty", 14),
        ("[x]", "expected a mapping of keys to values, got a list", 13),
        ("", "matrix is empty", 5),
        ("{a: [x], include: [x]}", 'expected a mapping of keys to values, got the text "x"', 32),
        ("{a: [x], exclude: 1}", "expected a list, got the number 1", 31),
        ("{a: ['${NO}']}", "the environment has no variable NO", 19),
        ("{a: ['${run.id}']}", "${run.id} is not known yet where this is needed", 18),
        (f"{{a: [{list(range(257))}]}}".replace("[[", "[").replace("]]", "]"),
         "this matrix makes 257 jobs, and the most is 256", 5),
        (f"{{a: [x, {'y' * 64}]}}", f'the name "f_{"y" * 57}…" of a job made of this matrix is '
         "too long", 5),
        ("{include: [{a: x}, {b: x}]}", "this matrix makes two jobs f_x", 5),
    ],
)  # fmt: skip
def test_a_matrix_that_makes_no_jobs_is_told_at_its_place_and_nothing_that_follows(
    matrix, message, column
):
    problem = refused(matrix)
    assert (problem.message, problem.line, problem.column) == (message, 5, column)


def test_a_name_that_another_job_has_is_refused():
    for order in (("f", "f_x"), ("f_x", "f")):
        jobs = {
            "f": "  f: {target: 'os:getcwd', matrix: {a: [x]}}\n",
            "f_x": "  f_x: {target: 'os:getcwd'}\n",
        }
        (problem,) = told(f"version: 1\njobs:\n{''.join(jobs[name] for name in order)}")
        assert problem.message == "this matrix makes a job f_x, and there is one"
        assert problem.code == "MP149"


def test_what_only_some_made_jobs_have_wrong_names_them():
    text = f"{HEAD}    matrix: {{a: [0, 1]}}\n    workers: ${{matrix.a}}\n"
    (problem,) = told(text)
    assert problem.message == "0 is too small: the least is 1 (in job f_0)"
    assert (problem.line, problem.column, problem.path) == (6, 14, "jobs.f_0.workers")


def test_what_all_made_jobs_have_wrong_is_told_once_as_of_one_job():
    (problem,) = told(f"{HEAD}    matrix: {{a: [1, 2]}}\n    workers: many\n    after: f\n"[:-13])
    assert problem.message == 'expected a whole number or auto, got the text "many"'


def test_a_misspelt_name_of_the_matrix_or_of_its_job_gets_a_hint():
    (problem,) = told(f"{HEAD}    matrix: {{region: [x]}}\n    args: ['${{matrix.regon}}']\n")
    assert (problem.message, problem.hint) == (
        "there is no regon in matrix",
        "did you mean region?",
    )
    text = f"{HEAD}    matrix: {{a: [x]}}\n  g: {{target: 'os:getcwd', after: ff}}\n"
    (problem,) = told(text)
    assert problem.hint == "did you mean f?"


@pytest.mark.parametrize("name", ["f-1", "a b"])
def test_a_job_of_a_bad_name_is_told_as_one_without_a_matrix(name):
    text = f"{HEAD}    matrix: {{a: [x]}}\n    args: ['${{matrix.a}}']\n".replace(
        "  f:", f"  {name}:"
    )
    (problem,) = told(text)
    assert (problem.code, problem.line, problem.column) == ("MP209", 3, 3)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab-1. ü", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "include", "exclude", "1"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_stands_for_a_matrix_makes_jobs_or_is_refused(value):
    text = f"{HEAD}    matrix: {json.dumps(value)}\n    args: ['${{matrix.a:-none}}']\n"
    try:
        jobs = compiled(text).plan.jobs
    except SpecError as error:
        assert all(problem.line in (5, 6) for problem in error.problems)
    else:
        assert "f" not in jobs
        assert all(is_name(name) and "$" not in str(job.args) for name, job in jobs.items())


def test_matrices_that_make_too_much_are_refused_at_once():
    values = ", ".join(map(str, range(256)))
    jobs = "".join(
        f"  f{n}: {{target: 'os:getcwd', matrix: {{a: [{values}]}}, args: [{values}]}}\n"
        for n in range(10)
    )
    began = time.process_time()
    messages = {problem.message for problem in told(f"version: 1\njobs:\n{jobs}")}
    assert messages == {"matrices make too much: over 50,000 keys and values, or 1 MiB"}
    assert time.process_time() - began < 2
