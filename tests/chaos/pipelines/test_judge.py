"""The judge of random pipelines acquits ideal evidence, and condemns every forgery of it."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from .evidence import DRAINED, FAILED, TERMINATED, Letter, Page
from .ideal import ideal
from .judge import judge
from .model import UNNAMED, Job, Pipeline, Queue
from .rounds import Plan


def role(name, **more):
    return {
        "name": name,
        "command": False,
        "ports": {},
        "fails_at": 0,
        **dict.fromkeys(("skip", "dead", "flaky", "block", "pace_s", "pad"), 0),
        **more,
    }


FATES = role("j1", ports={UNNAMED: [1, 1]}, skip=10, dead=10)
JOBS = [
    Job(
        name="s0",
        shape="source",
        role=role("s0", items=60, ports={UNNAMED: [1, 1]}),
        ports={UNNAMED: ("q0",)},
        keys={"restart": {"replay": "skip"}},
    ),
    Job(name="j1", shape="item", role=FATES, inputs=("q0",), ports={UNNAMED: ("q1", "q2")}),
    Job(name="j2", shape="stream", role=role("j2"), inputs=("q1",)),
    Job(
        name="j3",
        shape="batch",
        role=role("j3"),
        inputs=("q2",),
        keys={"batch": {"size": 5, "within": "1ms"}},
    ),
    Job(name="t4", shape="task", role=role("t4"), keys={"after": {"j2": "succeeded"}}),
    Job(name="t5", shape="task", role=role("t5"), keys={"after": {"j2": "failed"}}),
    Job(name="d6", shape="daemon", role=role("d6"), keys={"daemon": True}),
]
QUEUES = {
    "q0": Queue(name="q0", maxsize=10),
    "q1": Queue(name="q1", maxsize=10),
    "q2": Queue(name="q2", maxsize=10, when_full="drop_oldest"),
}
PIPELINE = Pipeline(seed=0, durable=False, queues=QUEUES, jobs={job.name: job for job in JOBS})
GOOD = ideal(PIPELINE)
DONE = [note.ident for page in GOOD.pages if page.job == "j2" for note in page.notes[::2]]


def page_of(job):
    return next(page for page in GOOD.pages if page.job == job)


def with_page(job, change, **more):
    """The evidence in which a job's page is another one, or several."""
    pages = [p for page in GOOD.pages for p in (change(page) if page.job == job else [page])]
    return dataclasses.replace(GOOD, pages=tuple(pages), **more)


def with_notes(job, change):
    return with_page(
        job, lambda page: [dataclasses.replace(page, notes=tuple(change(list(page.notes))))]
    )


def told(**changes):
    """The evidence with another summary: `queue__end=n` and `job__key=value`."""
    summary = copy.deepcopy(dict(GOOD.summary))
    for path, value in changes.items():
        name, key = path.split("__")
        (summary["queues"] if name in QUEUES else summary["jobs"])[name][key] = value
    return dataclasses.replace(GOOD, summary=summary)


def without(ident):
    return lambda notes: [note for note in notes if note.ident != ident]


def test_ideal_evidence_is_good_and_proves_something():
    assert judge(GOOD).problems == ()
    assert len(DONE) > 40
    assert GOOD.letters


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_the_ideal_evidence_of_any_pipeline_is_good(seed, durable):
    evidence = ideal(Plan.of(seed, durable=durable).pipeline)
    assert judge(evidence).problems == ()


def another_process(page, **changes):
    return dataclasses.replace(page, **{"pid": page.pid + 500, **changes})


def again(page, ident):
    """A process that has ended the item as well."""
    notes = tuple(note for note in page.notes if note.ident == ident)
    return another_process(page, worker=page.worker.replace("-1", "-2"), notes=notes)


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (with_notes("j2", without(DONE[7])), {"lost": 1}),
        (with_notes("j2", lambda notes: notes[:-4]), {"lost": 2}),
        (with_notes("j2", lambda notes: []), {"lost": len(DONE)}),
        (with_page("j2", lambda page: [page, again(page, DONE[3])]), {"doubled": 1}),
        (with_page("j3", lambda page: [page, again(page, DONE[3])]), {"doubled": 1}),
        (with_notes("j3", lambda notes: [*notes, notes[1]]), {"doubled": 1}),
        (
            with_notes("j3", lambda n: [*n, dataclasses.replace(n[0], token="another")]),
            {"doubled": 1},
        ),
        (
            with_notes("j2", lambda n: [*n, dataclasses.replace(n[1], ident="x")]),
            {"unexpected": 1},
        ),
    ],
    ids=[
        "one lost",
        "the last two lost",
        "all lost",
        "one ended by two workers of a stream",
        "one ended by two workers",
        "one ended twice by one process",
        "one made twice",
        "one of no source",
    ],
)
def test_what_is_lost_doubled_or_unexpected_is_counted(evidence, found):
    verdict = judge(evidence)
    counted = {"lost": verdict.lost, "doubled": verdict.doubled, "unexpected": verdict.unexpected}
    assert {what: n for what, n in counted.items() if n} == found
    assert verdict.problems


def test_what_a_killed_process_had_ended_may_come_again_and_once_only():
    def killed(page):
        return dataclasses.replace(again(page, DONE[3]), killed=True)

    assert judge(with_page("j3", lambda page: [page, killed(page)])).problems == ()
    twice = with_page("j3", lambda page: [page, killed(page), again(page, DONE[3])])
    assert judge(twice).doubled == 1


def test_what_an_earlier_life_had_ended_may_come_again():
    def earlier(page):
        return another_process(page, life=0)

    def later(page):
        return dataclasses.replace(page, life=1)

    for job in ("j2", "j3"):
        evidence = with_page(job, lambda page: [earlier(page), later(page)], life=1)
        assert judge(evidence).doubled == 0


def test_items_of_a_stream_in_another_order_are_told():
    swapped = with_notes("j2", lambda notes: [*notes[2:4], *notes[:2], *notes[4:]])
    ordered = {**PIPELINE.jobs, "j1": dataclasses.replace(JOBS[1], keys={"ordered": True})}
    evidence = dataclasses.replace(swapped, pipeline=dataclasses.replace(PIPELINE, jobs=ordered))
    assert judge(swapped).problems == ()
    assert judge(evidence).problems == ("j2 got its items in another order",)


def letter(ident, job="j1"):
    return Letter(ident=ident, queue="q0", job=job, error="Dead")


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        (GOOD.letters[1:], (1, 0, 0)),
        ((*GOOD.letters, GOOD.letters[0]), (0, 1, 0)),
        ((*GOOD.letters, letter(DONE[0])), (0, 0, 1)),
        ((*GOOD.letters, letter(DONE[0], "j2")), (0, 0, 1)),
    ],
    ids=["lost", "doubled", "of an item that is done", "of a job that has none"],
)
def test_dead_letters_are_compared_with_the_fates(letters, found):
    verdict = judge(dataclasses.replace(GOOD, letters=letters, listed=len(letters)))
    assert (verdict.lost, verdict.doubled, verdict.unexpected) == found


LEDGER = GOOD.summary["queues"]


@pytest.mark.parametrize(
    "evidence",
    [
        told(q0__put=59),
        told(q0__put=61, q0__done=LEDGER["q0"]["done"] + 1),
        told(q1__done=LEDGER["q1"]["done"] - 1, q1__dropped=1),
        told(q1__done=LEDGER["q1"]["done"] - 1, q1__left=1),
        told(q0__done=LEDGER["q0"]["done"] - 1, q0__skipped=LEDGER["q0"]["skipped"] + 1),
        told(q0__dead=LEDGER["q0"]["dead"] - 1, q0__done=LEDGER["q0"]["done"] + 1),
        told(j1__items_in=59),
        told(j1__items_out=3),
        told(j1__dead=0),
        told(j1__skipped=0),
        told(j3__restarts=1),
        told(j2__status="failed"),
        told(t5__status="succeeded"),
        told(d6__status="succeeded"),
        dataclasses.replace(GOOD, exit_code=0),
        dataclasses.replace(GOOD, exit_code=1),
        dataclasses.replace(GOOD, exit_code=None),
        dataclasses.replace(GOOD, summary=None),
        dataclasses.replace(GOOD, listed=0),
        dataclasses.replace(GOOD, complaints=("left behind",)),
        dataclasses.replace(GOOD, end=FAILED, exit_code=1),
        dataclasses.replace(GOOD, end=DRAINED),
        dataclasses.replace(GOOD, end=TERMINATED),
        with_page("t4", lambda page: []),
        with_page("t4", lambda page: [page, another_process(page)]),
        with_page("t4", lambda page: [page, another_process(page, worker="t5-1")]),
        with_notes("t4", lambda notes: [dataclasses.replace(n, at=0.0) for n in notes]),
        with_notes("j3", lambda notes: [dataclasses.replace(n, more="6") for n in notes]),
        dataclasses.replace(
            GOOD, summary={**GOOD.summary, "warnings": ["queue q2: 1 item dropped: its reader j3"]}
        ),
    ],
    ids=[
        "books that do not balance",
        "one put too many",
        "dropped where nothing drops",
        "left",
        "one skipped too many",
        "one dead too few",
        "items in",
        "items out",
        "dead in the job's line",
        "skipped in the job's line",
        "more restarts than kills",
        "a job failed",
        "called though nothing failed",
        "a daemon succeeded",
        "exit code 0 with letters",
        "exit code 1",
        "hung",
        "no summary",
        "dead list",
        "a complaint",
        "a failed run in which no job failed",
        "not drained",
        "not terminated",
        "a task that was not called",
        "a task called twice",
        "a task called that never should",
        "a task called too early",
        "a batch too large",
        "a warning that is not true",
    ],
)
def test_wrong_books_statuses_and_codes_are_told(evidence):
    assert judge(evidence).problems


def forgone(*, after):
    """A drained round in which nobody has read q1: its reader waited, or should have read."""
    summary = copy.deepcopy(dict(GOOD.summary))
    queue = summary["queues"]["q1"]
    summary["queues"]["q1"] = queue | {"done": 0, "left": queue["put"]}
    summary["jobs"]["j2"] |= {"status": "skipped", "items_in": 0}
    jobs = dict(PIPELINE.jobs)
    jobs["j2"] = dataclasses.replace(jobs["j2"], keys={"after": "t5"} if after else {})
    return dataclasses.replace(
        GOOD,
        pipeline=dataclasses.replace(PIPELINE, jobs=jobs),
        pages=tuple(page for page in GOOD.pages if page.job != "j2"),
        end=DRAINED,
        exit_code=130,
        summary=summary | {"exit_code": 130},
    )


def test_what_a_job_was_to_read_that_a_drain_has_skipped_is_left():
    assert judge(forgone(after=True)).problems == ()
    wrong = judge(forgone(after=False))
    assert (wrong.lost, len(wrong.problems)) == (len(DONE), 2)


def test_pages_are_told_apart():
    page = Page(worker="a-b-12", life=3, pid=4, notes=())
    assert page.job == "a-b"
