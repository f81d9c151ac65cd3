"""Frames of a run: their exact text, that they fit any terminal; and the block of lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace
from pictures import BEFORE, HEADER, SAMPLE, SENTENCE, run_of

from orchestrator.core.samples import JobSample, JobWiring, Sample, Service
from orchestrator.views.drawing import Live
from orchestrator.views.frame import (
    SORTS,
    Look,
    View,
    frame,
    order_of,
    plain_line,
)
from orchestrator.views.text import cells_of, short_time

SGR = re.compile(r"\x1b\[\d+m")
WIDE = Look(width=120, height=40, colour=False)
NO_JOBS = run_of([])


def draw(run=(HEADER, BEFORE, SAMPLE), width=80, height=24, view=None, sentence=SENTENCE, **look):
    look = Look(width=width, height=height, **{"colour": False} | look)
    return frame(*run, look, sentence=sentence, view=view or View())


@pytest.mark.parametrize(
    ("width", "height", "view", "text"),
    [
        (
            80,
            24,
            View(),
            """\
census 20261201T120000-abcd  12 s
        state    w   in  out   /s  run starv block err retr skip dead  cpu  mem
 find   done            1706       20%    0%   80%
 parse  running  2 1000  988  100  98%    0%    3%        3   12      180%  90M
 write  running  1  988        99  20%   80%    0%                      2%  20M
 report pending
 files ██████████  95% of 256        facts ░░░░░░░░░░   0% of 64
`parse` limited the run for 92 %: its 2 workers ran 98 % of the time, `files`
was 95 % full, `write` starved 80 %. 2 of 4 processors were in use: try
workers: 4.""",
        ),
        (
            120,
            40,
            View(),
            """\
census 20261201T120000-abcd  12 s
        state    w    in   out   /s  run starv block err retr skip dead  cpu  mem  time queued
 find   done             1,706       20%    0%   80%
 parse  running  2 1,000   988  100  98%    0%    3%        3   12      180%  90M  19ms   2.4s
 write  running  1   988         99  20%   80%    0%                      2%  20M        1.0ms
 report pending
 files ██████████  95% of 256        facts ░░░░░░░░░░   0% of 64
`parse` limited the run for 92 %: its 2 workers ran 98 % of the time, `files` was 95 % full, \
`write` starved 80 %. 2 of
4 processors were in use: try workers: 4.""",
        ),
        (
            40,
            10,
            View(),
            """\
census  12 s
        state     in  out   /s  run
 find   done         1706       20%
 parse  running 1000  988  100  98%
 write  running  988        99  20%
 report pending
 files ██████████  95% of 256
 facts ░░░░░░░░░░   0% of 64
`parse` limited the run for 92 %: its …""",
        ),
        (
            80,
            11,
            View(sort="cpu", chosen=1, opened=1, keys="q quit", status="succeeded"),
            """\
census 20261201T120000-abcd  12 s  succeeded
           state    w   in  out   /s  run starv block err retr skip  cpu  mem
>parse     running  2 1000  988  100  98%    0%    3%        3   12 180%  90M
   parse-1 files:999 12ms             95%    0%    5%                90%  45M
   parse-2 pid 13                    100%    0%    0%                90%  45M
 write     running  1  988        99  20%   80%    0%                 2%  20M
 and 2 jobs: 1 done, 1 pending
 files ██████████  95% of 256        facts ░░░░░░░░░░   0% of 64
`parse` limited the run for 92 %: its 2 workers ran 98 % of the time, `files` …
q quit""",
        ),
    ],
    ids=["80x24", "120x40", "40x10", "opened"],
)
def test_a_frame_tells_of_jobs_queues_and_the_limit(width, height, view, text):
    assert "\n".join(draw(width=width, height=height, view=view)) == text


def test_without_unicode_the_frame_is_ascii():
    assert all(line.isascii() for line in draw(unicode=False, width=20))
    assert all(line.isascii() for line in draw(unicode=False, width=80))


def test_of_the_first_sample_there_is_a_frame_too():
    lines = draw((HEADER, SAMPLE, SAMPLE), sentence="")
    assert lines[3].split() == ["parse", "running", "2", "1000", "988", "0", "3", "12", "90M"]
    assert lines[-1].startswith(" files ██████████ 100% of 256")


counts = st.integers(0, 10**19)
times = st.floats(0, 1e9)
jobs = st.tuples(
    st.text(min_size=1, max_size=64),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["pending", "running", "failed", "waiting_input", "new_one"]),
            "workers": counts,
            "items_in": counts,
            "items_out": counts,
            "failed": counts,
            "dead": counts,
            "running_s": times,
            "starved_s": times,
            "held_s": times,
        }
    ),
)
queues = st.tuples(st.text(min_size=1, max_size=64), st.integers(0, 10**12), st.floats(0, 1e15))
views = st.builds(
    View,
    sort=st.sampled_from(["", *SORTS]),
    chosen=st.none() | st.integers(0, 50),
    opened=st.none() | st.integers(0, 50),
    keys=st.sampled_from(["", "q quit"]),
)


@given(
    st.lists(jobs, max_size=40),
    st.lists(queues, max_size=30),
    st.integers(1, 200),
    st.integers(1, 60),
    views,
)
def test_a_frame_fits_any_terminal(some, some_queues, width, height, view):
    lines = draw(run_of(some, some_queues), width, height, view, colour=True)
    assert all(cells_of(SGR.sub("", line)) < max(width, 2) for line in lines)
    assert 0 < len(lines) < max(height, 2)


def test_of_too_many_jobs_those_at_work_are_shown_and_the_rest_counted():
    many = [(f"j{n}", {"state": "succeeded"}) for n in range(99)]
    lines = draw(run_of([*many, ("p", {"state": "pending"}), ("parse", {})]), height=10)
    assert any(line.startswith(" parse") for line in lines)
    assert lines[-2] == " and 96 jobs: 96 done"


def test_of_a_thousand_jobs_all_are_told_where_there_is_room():
    many = [(f"j{n}", {"items_in": n}) for n in range(1000)]
    lines = draw(run_of(many), width=120, height=1 << 20)
    assert len([line for line in lines if re.match(r" j\d+ ", line)]) == 1000


def test_of_too_many_queues_the_fullest_are_shown_and_the_rest_told():
    given_ = [(f"q{n}", 100, 4.0 if n < 8 else 90.0 - n) for n in range(12)]
    lines = draw(run_of([("a", {})] * 6, given_), height=11, sentence="")
    assert lines[-3:] == [
        " q8  ████████░░  82% of 100        q9  ████████░░  81% of 100",
        " q10 ████████░░  80% of 100        q11 ████████░░  79% of 100",
        " and 8 queues, all below 5 %",
    ]


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ([("a", 0, 0.0), ("b", 10, 0.0)], " and 3 queues, all empty"),
        ([("a", 0, 30.4), ("b", 10, 0.0)], " and 3 queues, at most 30 items"),
        ([("a", 0, 30.4), ("b", 10, 1.0)], " and 3 queues, all below 11 %, at most 30 items"),
    ],
)
def test_what_is_told_of_queues_without_room(rest, told):
    run = run_of([("j", {})] * 3, [*rest, ("c", 7, 0.0)])
    assert draw(run, width=30, height=6, sentence="")[-1] == (
        told if len(told) < 30 else f"{told[:28]}…"
    )


def test_queues_without_a_bound_show_how_many_items_they_have():
    lines = draw(run_of([], [("free", 0, 12.2), ("none", 0, 0.0)]), sentence="")
    assert lines[-1].split() == ["free", "12", "queued", "none", "0", "queued"]


def test_names_are_shown_as_text():
    run = run_of([("\x1b[31m[bold]red", {}), ("日本" * 20, {})], [("\x1b]0;x\x07", 5, 1.0)])
    text = "\n".join(draw(run, sentence="\x1b[2J `a`"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[31m[bold]r…" in text


@pytest.mark.parametrize(
    ("row", "column", "text"),
    [
        ({"items_in": 9_999}, "in", "9999"),
        ({"items_in": 10_000}, "in", "10k"),
        ({"items_in": 123_456_789}, "in", "123M"),
        ({"items_in": 5}, "/s", "2.5"),
        ({"held_s": 1.0, "running_s": 1.0}, "rate", "50%"),
        ({"starting_s": 1.0}, "start", "100%"),
        ({"starved_s": 1.0, "end_s": 1.0}, "starv", "100%"),
        ({"failed": 2}, "err", "2"),
    ],
)
def test_cells(row, column, text):
    titles, line = draw(run_of([("a", row)]), sentence="", width=120)[1:3]
    if column == "in":
        titles, line = draw(run_of([("a", row)]), sentence="")[1:3]
    end = re.search(rf"(?<!\S){re.escape(column)}(?!\S)", titles).end()
    assert line[:end].split()[-1] == text


def test_jobs_are_sorted_by_what_is_asked_for():
    run = run_of([("a", {"items_in": 1}), ("b", {"items_in": 3}), ("c", {"items_in": 2})])
    assert order_of(*run, View(sort="rate")) == [1, 2, 0]
    assert order_of(*run, View()) == [0, 1, 2]


def test_of_too_many_workers_some_are_counted():
    header, before, sample = HEADER, BEFORE, SAMPLE
    worker = sample.workers[0]
    many = [type(worker)(name=f"parse-{n}", job=1, pid=n) for n in range(1, 51)]
    sample = type(sample)(t=sample.t, jobs=sample.jobs, queues=sample.queues, workers=tuple(many))
    lines = draw((header, before, sample), height=20, view=View(opened=1), sentence="")
    assert "   and 39 workers" in lines
    assert len(lines) == 19


def test_of_a_sample_that_was_kept_without_its_workers_processors_are_not_known():
    header, before, sample = HEADER, replace(BEFORE, workers=()), SAMPLE
    lines = draw((header, before, sample), sentence="", view=View(opened=1))
    assert lines[4].split() == ["parse-1", "files:999", "12ms", "91%", "8%", "1%", "45M"]
    assert lines[3].split()[-2:] == ["12", "90M"]


def test_a_plain_line_tells_of_the_jobs_at_work():
    assert plain_line(HEADER, BEFORE, SAMPLE) == (
        "12 s: parse 1,000 in, 100/s, running 98 %; write 988 in, 99/s, starved 80 %; "
        "1 of 4 jobs ended; 3 retried; 12 skipped"
    )


def test_a_plain_line_of_many_jobs_counts_the_rest():
    run = run_of([(f"j{n}", {"workers": 1}) for n in range(9)])
    assert plain_line(*run).endswith("; j5 0 out; 3 more jobs")


def test_what_is_drawn_is_erased_whole():
    live = Live()
    assert live.erase(80) == ""
    live.take(draw())
    assert live.draw().count("\n") == 9
    assert live.erase(80) == "\r\x1b[9A\x1b[K\x1b[C\x1b[J\r"
    assert live.erase(80) == ""


def test_a_block_that_a_narrower_terminal_has_wrapped_is_erased_whole():
    live = Live()
    live.take(["x" * 39, "日" * 11])
    live.draw()
    assert live.erase(20) == "\r\x1b[3A\x1b[K\x1b[C\x1b[J\r"


def test_a_frame_is_written_over_the_one_before():
    live = Live()
    live.take(["one", "two"])
    assert live.redraw(80) == "one\ntwo"
    live.take(["1", "2"])
    assert live.redraw(80) == "\r\x1b[1A1\x1b[K\n2\x1b[K"
    live.take(["1"])
    assert live.redraw(80) == "\r\x1b[1A\x1b[K\x1b[C\x1b[J\r1"


def sized(done, *, before=0, t=20.0, total=None, **source):
    """A source that has put 50 items, of which its reader has finished so many."""
    wired = (JobWiring(name="src", writes=("q",), total=total), JobWiring(name="end", reads=("q",)))
    header = replace(HEADER, jobs=wired, queues=())
    rows = [
        Sample(
            t=at,
            jobs=(
                JobSample(**{"state": "running", "items_out": 50} | source),
                JobSample(state="running", items_in=n),
            ),
        )
        for at, n in ((t - 2.0, before), (t, done))
    ]
    return (header, *rows)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (sized(25, before=20, total=100), "██░░░░░░░░ 25 %  about 1 min left"),
        (sized(40, before=20, total=100), "████░░░░░░ 40 %  about 6 s left"),
        (sized(40_000, before=39_990, total=100_000), "████░░░░░░ 40 %  about 3 h 20 min left"),
        (sized(10, before=10), ""),
        (sized(10, before=10, state="succeeded"), ""),
        (sized(50, before=10, total=50), "██████████ 100 %"),
        (sized(70, before=10, total=50), "██████████ 100 %"),
        (sized(0, total=50), "░░░░░░░░░░ 0 %"),
        (sized(0, total=0), ""),
    ],
    ids=["all of it", "lately", "long", "no total", "over", "done", "too many", "none", "empty"],
)
def test_how_far_a_run_is_and_how_long_the_rest_takes(run, told):
    assert draw(run, sentence="")[0] == f"census 20261201T120000-abcd  20 s  {told}".rstrip()


def test_what_a_source_says_itself_counts_where_the_spec_says_nothing():
    assert "50 %" in draw(sized(5, total=10), sentence="")[0]
    header, before, sample = sized(5)
    told = replace(sample, jobs=(replace(sample.jobs[0], total=10), sample.jobs[1]))
    assert "50 %" in draw((header, before, told), sentence="")[0]
    assert plain_line(header, before, told).startswith("20 s: 50 % done, about 20 s left; ")


def test_a_source_that_does_not_say_leaves_the_progress_unknown():
    header, before, sample = sized(5, total=10)
    jobs = (*header.jobs, JobWiring(name="other", writes=("q",)))
    rows = (*sample.jobs, JobSample(state="running", items_out=1))
    known = replace(header, jobs=jobs), replace(before, jobs=rows), replace(sample, jobs=rows)
    assert "%" not in draw(known, sentence="")[0]


def test_where_others_write_to_its_queue_what_a_source_has_put_counts():
    header, before, sample = sized(5, total=100)
    jobs = (*header.jobs, JobWiring(name="other", reads=("x",), writes=("q",)))
    rows = (*sample.jobs, JobSample(state="running", items_out=1))
    known = replace(header, jobs=jobs), replace(before, jobs=rows), replace(sample, jobs=rows)
    assert "50 %" in draw(known, sentence="")[0]


def with_worker(**changes) -> Sample:
    first, *others = SAMPLE.workers
    return structs.replace(SAMPLE, workers=(structs.replace(first, **changes), *others))


def test_a_worker_at_an_item_that_takes_much_longer_than_others_is_named():
    run = (HEADER, BEFORE, with_worker(at_item_s=21.2))
    told = "parse-1 is at files:999 for 21 s"
    assert f"{told}, others take 20ms: mporch stack parse-1" in draw(run)
    assert f"; {told}; " in plain_line(*run)
    for height in range(3, 12):
        assert len(draw(run, height=height)) < height


@pytest.mark.parametrize(("item", "at_item_s"), [("files:999", 4.9), ("", 50.0)])
def test_a_worker_that_is_not_long_at_an_item_is_not_named(item, at_item_s):
    run = (HEADER, BEFORE, with_worker(item=item, at_item_s=at_item_s))
    assert "is at" not in "\n".join(draw(run))


def test_where_all_items_take_long_none_is_named():
    sample = with_worker(at_item_s=21.2)
    find, parse, *rest = sample.jobs
    parse = structs.replace(parse, service=Service(items=10, total_s=100.0))
    run = (HEADER, BEFORE, structs.replace(sample, jobs=(find, parse, *rest)))
    assert "is at" not in "\n".join(draw(run))


def of_source(state, *, status=""):
    find, parse, *rest = SAMPLE.jobs
    find = structs.replace(find, state=state, total=4000, items_out=2000)
    run = (HEADER, BEFORE, structs.replace(SAMPLE, jobs=(find, parse, *rest)))
    return draw(run, view=View(status=status))[0]


def test_a_source_that_was_stopped_gives_no_more():
    assert " 25 %  about 30 s left" in of_source("running")
    assert " 50 %  about 10 s left" in of_source("terminated")


def test_a_run_that_was_killed_has_no_time_left():
    assert of_source("running", status="killed").endswith("  killed")


def test_no_time_at_all_is_nought():
    assert [short_time(each) for each in (0.0, 1e-6, None)] == ["0", "1.0us", ""]
