"""The report of a run."""

import msgspec
import pytest

from orchestrator.core.limits import Bottleneck
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemFailed,
    ItemSkipped,
    Ledger,
    Stalled,
    Survivor,
    WorkerEnded,
)
from orchestrator.core.reporting import JobSummary, SlowestItem, Summary
from orchestrator.views.report import Digest, Report, render_report
from orchestrator.views.tables import Paper

CLEAN = Summary(
    run="r1",
    name="census",
    status="succeeded",
    exit_code=0,
    started="",
    ended="",
    duration_s=12.3,
    jobs={
        "find": JobSummary(status="succeeded", workers=1, items_out=1706),
        "parse": JobSummary(status="succeeded", workers=2, items_in=1706, items_out=1680),
    },
    queues={"files": Ledger(maxsize=256, put=1706, done=1680, skipped=26, peak=256)},
    bottleneck="parse",
    bottlenecks=(
        Bottleneck(job="parse", why="busy", share=1.0, from_s=0.0, to_s=12.3, text="parse was."),
        Bottleneck(job="x", why="busy", share=1.0, from_s=0.0, to_s=12.3, text="x\x1b[2J"),
    ),
)
FAILURE = Failure(
    kind="ValueError",
    message="bad \x1b[31m",
    traceback="Traceback:\n  line 3\nValueError: bad",
    where="s.py:3",
)


def failed(**jobs):
    return msgspec.structs.replace(
        CLEAN, status="failed", exit_code=1, jobs={**CLEAN.jobs, **jobs}, reason="job parse failed"
    )


def skipped(n):
    failure = Failure(kind="SyntaxError", message="no")
    return ItemSkipped(
        job="parse", worker="parse-1", item=f"files:{n}", queue="files", failure=failure
    )


def item_failed(worker="parse-1"):
    return ItemFailed(job="parse", worker=worker, item="files:3", queue="files", failure=FAILURE)


def died(worker="parse-1"):
    return WorkerEnded(
        job="parse", worker=worker, pid=5, state="failed", exit_code=-11, reason="killed by SIGSEGV"
    )


def render(summary, *facts, width=80, durable=False):
    digest = Digest()
    for fact in facts:
        digest.notify(fact)
    report = Report(
        summary=summary, digest=digest, log="x/log.jsonl", argument="last", durable=durable
    )
    return render_report(report, Paper(width=width))


def test_a_clean_run_is_told_shortly():
    assert render(CLEAN) == (
        "census succeeded after 12.3 s\n"
        "\n"
        "  job    status     workers     in    out\n"
        "  find   succeeded        1         1,706\n"
        "  parse  succeeded        2  1,706  1,680\n"
        "\n"
        "  queue    put   done  skipped     peak\n"
        "  files  1,706  1,680       26  256/256\n"
        "\n"
        "bottleneck: parse was.\n"
        "bottleneck: x\\x1b[2J\n"
        "log: x/log.jsonl\n"
    )


def test_a_summary_of_an_older_version_names_one_job() -> None:
    text = render(msgspec.structs.replace(CLEAN, bottlenecks=()))
    assert "\nbottleneck: parse (the others waited for it)\n" in text


def test_warnings_of_the_summary_are_lines_of_the_report():
    warnings = ("queue files: 12 items dropped: its reader parse returned early", "\x1b[2J")
    text = render(msgspec.structs.replace(CLEAN, warnings=warnings))
    assert "\nwarning: queue files: 12 items dropped: its reader parse returned early\n" in text
    assert "\nwarning: \\x1b[2J\n" in text


def test_processes_that_could_not_be_killed_are_named_whatever_they_are_called():
    survivors = tuple(
        Survivor(pid=pid, command="su\x1b[2J" if pid == 10 else "sleep", user="root")
        for pid in range(10, 22)
    )
    text = render(msgspec.structs.replace(CLEAN, survivors=survivors))
    told = (
        "\nwarning: could not be killed, and outlive the run: su\\x1b[2J (pid 10, of root), sleep"
    )
    assert told in text
    assert "(pid 19, of root), and 2 more\n" in text


@pytest.mark.parametrize(
    ("n", "waited_s", "told"),
    [(1, 16.0, "1 batch waited 16 s"), (17, 16.4, "17 batches waited 16.4 s")],
)
def test_batches_that_waited_for_long_and_went_out_short_are_told(n, waited_s, told):
    line = f"parse: {told} for more until `within` was over, and went out short\n"
    assert line in render_batches(n, waited_s)


@pytest.mark.parametrize(("n", "waited_s"), [(3, 0.19), (0, 0.0)])
def test_batches_that_waited_for_a_moment_are_not_told(n, waited_s):
    assert "within" not in render_batches(n, waited_s)


def render_batches(n, waited_s):
    job = JobSummary(status="succeeded", workers=1, short_batches=n, waiting_within_s=waited_s)
    return render(msgspec.structs.replace(CLEAN, jobs={**CLEAN.jobs, "parse": job}), width=100)


def test_ten_skipped_items_are_named_and_the_rest_counted():
    text = render(CLEAN, *map(skipped, range(26)))
    assert "skipped by on_error: 26 items" in text
    assert "parse files:9: SyntaxError: no\n" in text
    assert "files:10" not in text
    assert "and 16 more: mporch logs last" in text


def before(counts, *items):
    """A digest that has taken what was skipped before, by a log with these items of `parse`."""
    digest, log = Digest(), iter(items)
    digest.skipped_before(
        counts, ({"job": "parse", "item": item, "error_type": "E"} for item in log)
    )
    return digest.skipped, list(log)


def test_what_was_skipped_before_is_named_and_counted_with_the_rest():
    named, _ = before({"parse": 2, "other": 0}, "files:1", "files:2")
    assert (named.count, named.first) == (2, ["parse files:1: E", "parse files:2: E"])
    digest = Digest()
    digest.skipped_before({"parse": 3}, [])
    digest.notify(skipped(4))
    assert (digest.skipped.count, digest.skipped.first) == (4, ["parse files:4: SyntaxError: no"])


def test_what_was_cut_off_as_it_was_skipped_is_named_when_it_is_skipped():
    named, rest = before({"parse": 1}, "files:1", "files:2")
    assert (named.count, named.first, rest) == (1, ["parse files:1: E"], ["files:2"])
    named, _ = before({"parse": 2}, "files:1", "files:1", "files:2")
    assert (named.count, len(named.first)) == (2, 2)


def test_of_many_that_were_skipped_before_the_log_is_read_no_further_than_ten():
    named, rest = before({"parse": 99}, *(f"files:{n}" for n in range(99)))
    assert (named.count, len(named.first), len(rest)) == (99, 10, 89)
    named, rest = before({"parse": 0}, "files:1")
    assert (named.count, named.first, rest) == (0, [], ["files:1"])


def test_the_users_traceback_comes_last_and_harmless():
    text = render(failed(), item_failed())
    assert text.endswith(
        "parse-1: ValueError: bad \\x1b[31m (s.py:3) at item files:3\n"
        "  Traceback:\n    line 3\n  ValueError: bad\n"
    )
    assert "more: mporch logs last --level warning" in text


def test_the_first_failure_is_the_one_told():
    text = render(failed(), died("parse-2"), item_failed("parse-1"))
    assert text.endswith("parse-2: killed by SIGSEGV\n")


def test_a_failure_without_traceback_is_replaced_by_one_of_the_same_worker_that_has_it():
    assert "line 3" in render(failed(), died(), item_failed())


def test_several_failed_jobs_are_each_named_with_their_reason():
    jobs = {
        name: JobSummary(status="timed_out", workers=1, reason=f"{name} was late")
        for name in ("a", "b")
    }
    text = render(failed(**jobs), died())
    assert "a timed out: a was late\n" in text
    assert "b timed out: b was late\n" in text


def test_a_stall_is_told_with_who_waits():
    text = render(failed(), Stalled(waits=(("a-1", "room in q"), ("b-1", "input from p"))))
    assert "a-1 waits for room in q; b-1 waits for input from p" in text


@pytest.mark.parametrize("width", [40, 60])
def test_tables_fit_a_narrow_terminal(width):
    busy = JobSummary(status="succeeded", workers=1, items_in=9, busy_s=9.0, waiting_input_s=9.0)
    text = render(failed(busy=busy), width=width)
    tables = [line for line in text.splitlines() if line.startswith("  ")]
    assert tables
    assert all(len(line) <= width for line in tables)


RECORDS = [
    {"event": "item.skipped", "job": "parse", "item": "files:0"}
    | {"error_type": "SyntaxError", "error": "no"},
    {"event": "item.failed", "worker": "parse-1", "item": "files:3"}
    | {"error_type": FAILURE.kind, "error": FAILURE.message}
    | {"where": FAILURE.where, "traceback": FAILURE.traceback},
    {"event": "output", "msg": "x"},
]


def test_a_log_gives_the_same_digest_as_the_run_itself():
    lived, read = Digest(), Digest()
    for fact in (skipped(0), item_failed()):
        lived.notify(fact)
    for record in RECORDS:
        read.record(record)
    assert vars(read.skipped) == vars(lived.skipped)
    assert read.fault == lived.fault


def test_a_death_in_a_log_is_a_failure():
    digest = Digest()
    digest.record({"event": "worker.ended", "worker": "a-1", "state": "succeeded"})
    assert digest.fault is None
    digest.record({"event": "worker.ended", "worker": "a-1", "state": "killed"})
    assert (digest.fault.who, digest.fault.what) == ("a-1", "killed")


@pytest.mark.parametrize(
    ("status", "durable", "told"),
    [("failed", True, True), ("interrupted", True, True), ("failed", False, False)],
)
def test_how_to_go_on_is_told_where_that_can_be(status, durable, told):
    summary = msgspec.structs.replace(CLEAN, status=status, exit_code=1)
    told_of = "go on: mporch resume last (with --force after a change of code or spec)\n"
    assert (told_of in render(summary, durable=durable)) is told


def test_a_durable_run_that_has_finished_with_dead_letters_is_not_gone_on_with():
    summary = msgspec.structs.replace(CLEAN, exit_code=3)
    assert "resume" not in render(summary, durable=True)


def test_a_long_message_is_cut_wherever_it_is_told():
    failure = msgspec.structs.replace(
        FAILURE, message="x" * 4000, traceback=f"Traceback:\n  line 3\nValueError: {'x' * 4000}"
    )
    skip = msgspec.structs.replace(skipped(1), failure=failure)
    summary = msgspec.structs.replace(failed(), reason=f"job parse failed: {'x' * 4000}")
    text = render(summary, msgspec.structs.replace(item_failed(), failure=failure), skip)
    assert max(map(len, text.splitlines())) < 600
    assert text.count("see the log") >= 3


def with_slowest(**keys):
    slow = SlowestItem(**{"item": "files:51", "seconds": 40.3, "others_s": 0.096} | keys)
    job = JobSummary(status="succeeded", workers=2, slowest=slow)
    summary = msgspec.structs.replace(CLEAN, jobs={"parse": job})
    return render_report(
        Report(summary=summary, digest=Digest(), log="l", argument="last"), Paper()
    )


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "took 40.3 s for files:51, others 96ms on average"),
        ({"name": "'f0.txt'"}, "took 40.3 s for files:51 ('f0.txt'), others 96ms on average"),
        ({"name": "\x1b[2J"}, "took 40.3 s for files:51 (\\x1b[2J), others 96ms on average"),
        ({"others_s": 0.0}, "took 40.3 s for files:51"),
    ],
)
def test_an_item_that_took_much_longer_than_others_is_named(keys, told):
    assert f"slowest: parse {told}\n" in with_slowest(**keys)


@pytest.mark.parametrize("keys", [{"seconds": 0.9}, {"others_s": 11.0}])
def test_where_none_took_much_longer_none_is(keys):
    assert "slowest" not in with_slowest(**keys)
