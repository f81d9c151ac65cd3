"""Problems are told in the order of the file, each once."""

from orchestrator.errors import Problem
from orchestrator.plan.compile import told_once
from orchestrator.spec import rules

FAMILIES = {"f": [f"f_{n}" for n in range(6)]}


def problem(job, *, line=1, message="wrong"):
    path = f"jobs.{job}.workers"
    return Problem(
        rule=rules.OUT_OF_RANGE, file="j", line=line, column=1, message=message, path=path
    )


def told(*problems):
    return [(each.line, each.message) for each in told_once(problems, FAMILIES)]


def test_problems_are_sorted_by_their_place():
    assert told(problem("b", line=2), problem("a")) == [(1, "wrong"), (2, "wrong")]


def test_what_several_aliases_repeat_is_told_once():
    assert told(problem("a"), problem("b")) == [(1, "wrong")]


def test_what_all_jobs_of_a_matrix_have_names_none_of_them():
    assert told(*map(problem, FAMILIES["f"])) == [(1, "wrong")]


def test_what_some_jobs_of_a_matrix_have_names_them():
    assert told(problem("f_1")) == [(1, "wrong (in job f_1)")]
    assert told(problem("f_1"), problem("f_2")) == [(1, "wrong (in jobs f_1, f_2)")]
    assert told(*map(problem, FAMILIES["f"][:5])) == [
        (1, "wrong (in jobs f_0, f_1, f_2 and 2 more)")
    ]


def test_a_job_that_the_message_names_is_not_named_again():
    assert told(problem("f_1", message="f_1 is wrong")) == [(1, "f_1 is wrong")]
