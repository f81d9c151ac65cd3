"""The part of a plan that is chosen."""

import pytest

from orchestrator.errors import UsageError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import AfterCondition, Selection
from orchestrator.plan.select import in_starting_order, select
from orchestrator.spec import loads

SPEC = """\
version: 1
queues: {files: 5, urgent: 5, facts: 6, odd: 7, kept: 8}
jobs:
  prepare: {target: "m:f"}
  find: {target: "m:f", output: [files, kept], after: prepare, tags: nightly}
  inbox: {target: "m:f", output: urgent}
  parse:
    target: "m:f"
    input: [urgent, files]
    output: {good: facts, bad: odd}
    tags: [core, slow]
  store: {target: "m:f", input: facts}
  index: {target: "m:f", input: facts, call: stream}
  complain: {target: "m:f", input: {q: odd}}
  archive: {target: "m:f", input: kept}
  report: {target: "m:f", after: {store: succeeded, index: finished}, tags: [nightly]}
  clean: {target: "m:f", after: {store: failed}}
  serve: {target: "m:f", daemon: true}
  off: {target: "m:f", enabled: false, tags: [nightly]}
"""


@pytest.fixture
def chosen(tmp_path):
    """Choose of SPEC; returns the plan and what is said of it."""
    (tmp_path / "m.py").write_text("def f(*args, **kwargs): ...\n")
    compiled = compile_spec(loads(SPEC, project_dir=tmp_path), this_machine())

    def choose(*jobs, tags=(), skip=()):
        wanted = Selection(jobs=jobs, tags=tags, skip=skip)
        selected = select(compiled.plan, wanted, disabled=compiled.disabled)
        return selected.plan, selected.remarks

    return choose


@pytest.fixture
def refused(chosen):
    def choose(*jobs, **how):
        with pytest.raises(UsageError) as error:
            chosen(*jobs, **how)
        return str(error.value), error.value.hint

    return choose


def test_nothing_chosen_is_the_whole_plan_of_which_nothing_is_said(chosen):
    plan, remarks = chosen()
    assert (len(plan.jobs), plan.selection, remarks) == (11, Selection(), ())


@pytest.mark.parametrize(
    ("jobs", "run"),
    [
        (["prepare"], ["prepare"]),
        (["find"], ["prepare", "find"]),
        (["parse"], ["prepare", "find", "inbox", "parse"]),
        (["complain"], ["prepare", "find", "inbox", "parse", "complain"]),
        (["archive"], ["prepare", "find", "archive"]),
        (["report"], ["prepare", "find", "inbox", "parse", "store", "index", "report"]),
        (["serve", "prepare"], ["prepare", "serve"]),
    ],
)
def test_a_job_runs_with_the_writers_of_its_inputs_and_what_it_waits_for(chosen, jobs, run):
    assert list(chosen(*jobs)[0].jobs) == run


def test_the_jobs_of_each_tag_and_those_named_are_chosen_together(chosen):
    plan, _ = chosen("archive", tags=("core",))
    assert list(plan.jobs) == ["prepare", "find", "inbox", "parse", "archive"]


def test_a_queue_has_the_chosen_of_its_writers_and_readers_and_may_have_no_reader(chosen):
    plan, remarks = chosen("store")
    assert {name: (queue.writers, queue.readers) for name, queue in plan.queues.items()} == {
        "files": (("find",), ("parse",)),
        "urgent": (("inbox",), ("parse",)),
        "facts": (("parse",), ("store",)),
        "odd": (("parse",), ()),
        "kept": (("find",), ()),
    }
    assert plan.queues["odd"].maxsize == 0  # it holds nothing, so it needs no bound
    assert plan.queues["files"].maxsize == 5
    assert remarks == (
        "5 of 11 jobs: prepare, find, inbox, parse, store",
        "odd and kept are read by no job of these: what is put on them is dropped, and counted",
    )


def test_the_plan_tells_what_was_chosen_and_what_was_left_out(chosen):
    plan, _ = chosen("prepare", skip=("serve",))
    assert plan.selection.jobs == ("prepare",)
    assert plan.selection.skip == ("serve",)
    assert plan.selection.left_out[:3] == ("find", "inbox", "parse")
    assert {*plan.selection.left_out, *plan.jobs} == {*chosen()[0].jobs}


def test_who_is_after_a_skipped_job_does_not_wait_for_it(chosen):
    plan, remarks = chosen(skip=("index", "prepare"))
    assert plan.jobs["report"].after == (("store", AfterCondition.SUCCEEDED),)
    assert plan.jobs["find"].after == ()
    assert "report does not wait for index" in remarks
    assert plan.queues["facts"].readers == ("store",)


def test_a_job_with_another_input_goes_on_without_the_queue_of_a_skipped_writer(chosen):
    plan, remarks = chosen(skip=("inbox",))
    assert plan.jobs["parse"].inputs == ("files",)
    assert "urgent" not in plan.queues
    assert "parse gets nothing from urgent" in remarks


@pytest.mark.parametrize(
    ("jobs", "how", "message", "hint"),
    [
        (["prase"], {}, "there is no job prase", "did you mean parse?"),
        (["zzzz"], {}, "there is no job zzzz", "the jobs are prepare, find, "),
        ([], {"skip": ("stroe",)}, "there is no job stroe", "did you mean store?"),
        ([], {"tags": ("nighly",)}, "no job has the tag nighly", "did you mean nightly?"),
        ([], {"tags": ("zz",)}, "no job has the tag zz", "the tags are nightly, core and slow"),
        (["off"], {}, "off is not enabled, so there is no such job", "--set jobs.off.enabled=true"),
        (["store"], {"skip": ("store",)}, "store is both chosen and skipped", "leave one"),
        ([], {"skip": ("parse",)}, "store reads facts, and its writer (parse) would be", "--skip "),
        (
            ["parse"],
            {"skip": ("find", "inbox")},
            "parse reads urgent, and its writer (inbox) would be skipped",
            "skip it as well: --skip parse",
        ),
        (
            ["clean"],
            {"skip": ("store",)},
            "clean waits until store has failed, and that would be skipped",
            "skip it as well: --skip clean",
        ),
        (["serve"], {}, "serve would not start: a daemon serves other jobs", "no daemon as well"),
        ([], {"tags": ("core",), "skip": ("parse",)}, "no job is left to run", "skip fewer"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_helps(refused, jobs, how, message, hint):
    told, helps = refused(*jobs, **how)
    assert told.startswith(message) or message in told
    assert hint in helps


def test_all_that_must_be_skipped_as_well_is_named(refused, chosen):
    _, helps = refused(skip=("find", "inbox"))
    assert helps.startswith("skip these as well: --skip parse --skip archive --skip store")
    named = helps.partition(": ")[2].replace("--skip ", "").split()
    plan, _ = chosen(skip=("find", "inbox", *named))
    assert "prepare" in plan.jobs


def test_tags_are_words_of_the_job_and_skipping_takes_from_them(chosen):
    plan, _ = chosen(tags=("nightly",), skip=("report",))
    assert list(plan.jobs) == ["prepare", "find"]


def test_jobs_start_in_the_order_of_the_spec_those_after_others_later(chosen):
    plan, _ = chosen("report")
    assert [(step, job.name) for step, job in in_starting_order(plan)] == [
        (1, "prepare"),
        (1, "inbox"),
        (1, "parse"),
        (1, "store"),
        (1, "index"),
        (2, "find"),
        (2, "report"),
    ]


def test_the_name_of_a_matrix_stands_for_all_jobs_made_of_it(tmp_path):
    (tmp_path / "m.py").write_text("def f(*args, **kwargs): ...\n")
    text = (
        "version: 1\njobs:\n  get: {target: 'm:f', matrix: {from: [eu, us]}, "
        "args: ['${matrix.from}']}\n  other: {target: 'm:f'}\n"
    )
    plan = compile_spec(loads(text, project_dir=tmp_path), this_machine()).plan
    assert list(select(plan, Selection(jobs=("get",))).plan.jobs) == ["get_eu", "get_us"]
    assert list(select(plan, Selection(skip=("get",))).plan.jobs) == ["other"]
    assert list(select(plan, Selection(jobs=("get_us",))).plan.jobs) == ["get_us"]
