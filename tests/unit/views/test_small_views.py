"""Problems, log records, runs and plans as text."""

import string
from dataclasses import replace

import msgspec
import pytest

from orchestrator.cli.runs import RunRow, render_runs
from orchestrator.errors import Problem, Rule, Severity
from orchestrator.plan import model
from orchestrator.views.logs import render_record
from orchestrator.views.plan import render_plan
from orchestrator.views.problems import render_problems
from orchestrator.views.tables import Paper
from orchestrator.views.text import in_one_line, last_line

RULE = Rule("MP201")
DOUBT = replace(RULE, code="MP202", severity=Severity.WARNING)
SOURCE = "jobs:\n  a: {need: b}\n\tx\n" + "y" * 500


def problem(**changes):
    base = {"file": "jobs.yaml", "line": 2, "column": 7, "message": "unknown key 'need'"}
    return Problem(**{"rule": RULE} | base | changes)


def render(*problems, source=SOURCE, width=80):
    return render_problems(problems, {"jobs.yaml": source}, Paper(width=width))


def test_a_problem_shows_its_place_its_line_and_how_to_mend_it():
    assert render(problem(width=4, hint="did you mean after?")) == (
        "jobs.yaml:2:7: error: unknown key 'need' [MP201]\n"
        "    2 |   a: {need: b}\n"
        "              ^^^^\n"
        "  hint: did you mean after?\n"
    )


def test_the_marks_are_as_wide_as_what_is_meant():
    text = render(problem(line=1, column=4, width=2), source="名: xy")
    assert text.splitlines()[1:] == ["    1 | 名: xy", "            ^^"]


def test_a_width_of_nothing_is_the_rest_of_the_line():
    assert render(problem(line=1, column=4, width=0), source="a: some text  ").count("^") == 9


def test_a_long_message_is_folded_between_its_words():
    long = problem(line=9, message="much to say " * 9, hint="much to do " * 9)
    lines = render(long, width=40).splitlines()
    assert all(len(line) < 40 for line in lines)
    assert lines[-1].startswith("    ")


def test_errors_come_before_warnings():
    first, then = problem(rule=DOUBT, line=1), problem(line=2)
    assert render(first, then).index("[MP201]") < render(first, then).index("[MP202]")


def test_a_warning_says_so():
    assert ": warning: " in render(problem(rule=DOUBT))


LETTERS = string.ascii_letters + string.digits


@pytest.mark.parametrize("width", [30, 44, 60, 200])
@pytest.mark.parametrize("column", range(1, len(LETTERS) + 1))
def test_of_a_line_too_long_for_the_screen_the_part_around_the_place_is_shown(column, width):
    at = problem(line=1, column=column, message="no")
    *_, line, mark = render(at, source=LETTERS, width=width).splitlines()
    assert len(line) < width
    assert line[mark.index("^")] == LETTERS[column - 1]
    assert (LETTERS in line) is (width > len(LETTERS) + 8)


def test_the_place_after_the_end_of_a_long_line_is_marked_on_the_screen():
    text = render(problem(line=1, column=len(LETTERS) + 1), source=LETTERS, width=30)
    *_, line, mark = text.splitlines()
    assert (len(line), mark.index("^")) == (29, 29)


@pytest.mark.parametrize("place", [(1000, 1), (0, 1), (2, 900)])
def test_a_line_that_is_not_there_is_not_shown(place):
    line, column = place
    assert render(problem(line=line, column=column)).count("\n") == 1


def test_a_line_of_the_spec_cannot_act_on_the_terminal():
    text = render(problem(line=1, column=1), source="\x1b[2J: 1")
    assert "\x1b" not in text


RECORD = {"ts": "2026-11-23T08:11:47.244802Z", "level": "info", "event": "output", "msg": "hello"}


def test_a_record_is_one_line():
    text = render_record({**RECORD, "worker": "a-1", "job": "a"}, colour=False)
    assert text == "08:11:47.244Z info    a-1 | hello\n"


def test_a_printed_line_has_its_item_beside_it():
    text = render_record({**RECORD, "worker": "a-1", "item": "q:7\x1b"}, colour=False)
    assert text == "08:11:47.244Z info    a-1 | hello  [q:7\\x1b]\n"


def test_a_record_of_no_worker_is_mporchs_own():
    assert "mporch | hello" in render_record(RECORD, colour=False)


def test_what_a_record_carries_stands_below_it():
    more = {"traceback": "Traceback:\n  x", "hint": "do y", "fields": {"user": "ann\x1b"}}
    lines = render_record({**RECORD, **more}, colour=False).splitlines()
    assert lines[1:] == ["    Traceback:", "      x", "    hint: do y"]


def test_a_log_record_has_its_fields_and_its_item_beside_it():
    logged = {"event": "log", "logger": "app", "msg": "slow\n  down", "item": "q:7"}
    more = {"fields": {"user": "ann\x1b", "n": 3, "t": "two words"}, "cut": ["msg", "fields.b"]}
    lines = render_record({**RECORD, **logged, **more}, colour=False).splitlines()
    assert lines[0].endswith("| app: slow")
    told = '      down  user=ann\\x1b n=3 t="two words"  [q:7]'
    assert lines[1:] == [told, "    cut: msg, fields.b"]


def test_a_log_record_names_its_logger():
    text = render_record({**RECORD, "event": "log", "logger": "app.db"}, colour=False)
    assert text.endswith("| app.db: hello\n")


@pytest.mark.parametrize("odd", [{}, {"msg": None, "level": 3}, {"fields": [1], "worker": "\x1b"}])
def test_a_record_that_somebody_made_up_does_no_harm(odd):
    text = render_record(odd, colour=False)
    assert "\x1b" not in text
    assert text.endswith("\n")


ROWS = [
    RunRow(run="20261123T080200-000z", name="census", status="running"),
    RunRow(
        run="20261123T080100-000z",
        name="census",
        status="failed",
        exit_code=1,
        started="2026-11-23T08:01:00.000000Z",
        duration_s=12.34,
    ),
]


def test_runs_are_a_table():
    assert render_runs(ROWS, Paper(width=100)) == (
        "run                   name    status   exit  started (UTC)          took\n"
        "20261123T080200-000z  census  running\n"
        "20261123T080100-000z  census  failed      1  2026-11-23 08:01:00  12.3 s\n"
    )


def test_a_run_that_was_resumed_has_both_starts():
    row = replace(ROWS[1], resumed="2026-11-23T09:30:00.000000Z")
    table = render_runs([row], Paper(width=100))
    assert "2026-11-23 08:01:00  2026-11-23 09:30:00  12.3 s" in table


def test_a_replay_names_the_run_whose_letters_it_has_fed_back():
    row = replace(ROWS[1], replay_of="20261123T080000-000z")
    table = render_runs([row, ROWS[0]], Paper(width=120)).splitlines()
    assert table[0].split()[-2:] == ["replay", "of"]
    assert table[1].endswith("12.3 s  20261123T080000-000z")
    assert table[2].endswith("running")


def test_a_narrow_table_of_runs_keeps_ids_whole():
    text = render_runs(ROWS, Paper(width=34))
    assert text.splitlines()[1] == "20261123T080200-000z  running"


PLAN = model.Plan(
    name="census",
    spec_path="/p/jobs.yaml",
    project_dir="/p",
    timeout_s=3600.0,
    queues={
        "files": model.QueuePlan(
            name="files", maxsize=256, max_bytes=64_000_000, writers=("find",), readers=("parse",)
        ),
        "free": model.QueuePlan(name="free", maxsize=0, writers=("parse",), readers=("end",)),
    },
    jobs={
        "parse": model.JobPlan(
            name="parse",
            target=model.Target(module="m", qualname="parse"),
            shape=model.Shape.BATCH,
            inputs=("files",),
            write_handles=(("good", "free"),),
            workers=2,
            batch=model.BatchPlan(size=10),
            after=(("find", model.AfterCondition.READY),),
            on_error=model.ErrorPolicy(
                by_exception=(("KeyError", model.ErrorAction.SKIP),),
                otherwise=model.ErrorAction.DEAD_LETTER,
            ),
            retry=model.RetryPlan(attempts=3),
            restart=model.RestartPlan(max=5),
            limits=model.LimitsPlan(memory_bytes=2_000_000_000),
            recycle=model.RecyclePlan(max_items=1000),
            on_failure=model.FailurePolicy.DRAIN,
            daemon=True,
            description="Parses.",
        ),
    },
)


def test_a_plan_tells_of_each_job_how_it_is_wired_and_limited():
    assert render_plan(PLAN, Paper(width=80)) == (
        "census (/p/jobs.yaml), at most 1 h\n"
        "\n"
        "  parse: m:parse\n"
        "    Parses.\n"
        "    batch, 2 workers, daemon; reads files; writes free (as good); after find\n"
        "      ready\n"
        "    forkserver; stop: SIGTERM, SIGKILL after 10 s; start within 1 min; batches\n"
        "      of 10 within 0.20 s; skip on KeyError; dead_letter on any other error; 3\n"
        "      attempts; 5 restarts within 1 min; memory up to 2GB; recycled after 1,000\n"
        "      items; on failure: drain\n"
        "\n"
        "  queue    maxsize  max bytes  from   to\n"
        "  files        256       64MB  find   parse\n"
        "  free   unbounded             parse  end\n"
    )


@pytest.mark.parametrize(
    ("n_bytes", "told"),
    [(1 << 30, "1GiB"), (500_000_000, "500MB"), (3 << 20, "3MiB"), (1500, "1.5 kB")],
)
def test_a_plan_tells_sizes_as_a_spec_does(n_bytes, told):
    plan = plan_with(limits=model.LimitsPlan(memory_bytes=n_bytes))
    assert f"memory up to {told};" in " ".join(render_plan(plan, Paper(width=200)).split())


def plan_with(**keys):
    """The plan with these values in its job."""
    job = msgspec.structs.replace(PLAN.jobs["parse"], **keys)
    return msgspec.structs.replace(PLAN, jobs={"parse": job})


@pytest.mark.parametrize(
    ("text", "line", "last"),
    [
        ("one", "one", "one"),
        ("  one\n", "  one", "  one"),
        ("", "", ""),
        ("\n\n", "", ""),
        (
            "p: exit status 1: Traceback (most recent call last):\n  File\nValueError: why\n",
            "p: exit status 1: … ValueError: why",
            "ValueError: why",
        ),
        (
            "Traceback (most recent call last):\nValueError: why\n\n",
            "ValueError: why",
            "ValueError: why",
        ),
        ("two\nlines", "two … lines", "lines"),
    ],
)
def test_of_several_lines_the_last_tells_why(text, line, last):
    assert (in_one_line(text), last_line(text)) == (line, last)
