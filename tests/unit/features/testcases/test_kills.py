"""What is told of the workers that a case kills."""

import pytest

from orchestrator.features.testcases.begun import BegunFile, read_begun
from orchestrator.features.testcases.cases import in_words, kills_of, missed
from orchestrator.plan.model import JobPlan, Plan, Shape, Target
from orchestrator.spec.cases import Kill

JOBS = {
    "parse": {"shape": Shape.ITEM, "inputs": ("q",)},
    "read": {"shape": Shape.SOURCE, "outputs": ("q",)},
}


@pytest.fixture
def plan():
    jobs = {
        name: JobPlan(name=name, target=Target(module="m", qualname="f"), **shape)
        for name, shape in JOBS.items()
    }
    return Plan(
        name="p", project_dir="/p", spec_path="/p/jobs.yaml", pythonpath=(), queues={}, jobs=jobs
    )


def told(plan, directory, *kills):
    found = kills_of([Kill(job=job, at_item=at) for job, at in kills], directory)
    return [(each.message, each.hint) for each in missed(found, plan)], in_words(found)


def test_a_kill_that_has_happened_is_no_failure_and_one_that_has_not_is(plan, tmp_path):
    BegunFile(tmp_path, "parse").add(["q:1", "q:2"])
    assert told(plan, tmp_path, ("parse", 2), ("parse", 23)) == (
        [("parse never began its 23rd item: nothing was killed", "it began 2")],
        "the case itself has killed a worker of parse",
    )


def test_a_job_that_came_to_no_item_at_all_was_not_killed(plan, tmp_path):
    assert told(plan, tmp_path, ("read", 11)) == (
        [("read never gave its 11th item: nothing was killed", "it gave none")],
        "",
    )


def test_a_kill_that_was_to_happen_more_often_says_how_often_it_did(plan, tmp_path):
    BegunFile(tmp_path, "parse").add(["q:1", "q:1"])
    (failed,), word = told(plan, tmp_path, *[("parse", 1)] * 3)
    assert failed[0] == "parse began its 1st item twice, and was to be killed at it 3 times"
    assert word == "the case itself has killed 2 workers of parse"


def test_each_job_is_named_once_with_the_number_of_its_workers(plan, tmp_path):
    for job in JOBS:
        BegunFile(tmp_path, job).add(["q:1", "q:2", "q:3"])
    kills = [("parse", 1), ("read", 2), ("parse", 3)]
    word = "the case itself has killed 2 workers of parse, a worker of read"
    assert told(plan, tmp_path, *kills) == ([], word)


def test_an_item_keeps_its_number_whoever_begins_with_it_again(tmp_path):
    one, other = BegunFile(tmp_path, "parse"), BegunFile(tmp_path, "parse")
    assert one.add(["q:7"]) == [(1, 1)]
    assert other.add(["q:5", "q:7"]) == [(2, 1), (1, 2)]
    assert one.add(["q:5"]) == [(2, 2)]
    assert BegunFile(tmp_path, "parse").add(["q:9", "q:7"]) == [(3, 1), (1, 3)]
    begun = read_begun(tmp_path, "parse")
    assert (len(begun), begun.times(1), begun.times(3), begun.times(4)) == (3, 3, 1, 0)
