"""Each example does what its README says."""

import csv
import math
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from e2e_runs import ROOT, Ran

Copy = Callable[..., Path]
Run = Callable[..., Ran]

PLAIN_CENSUS = """
from examples.census.stages import find_files, parse, write

def census():
    for path in find_files():
        try:
            yield parse(path)
        except SyntaxError:
            print(path)

write(census(), "plain.csv")
"""


@pytest.mark.timeout(550)  # three quarters of a million lines, twice
@pytest.mark.long
def test_the_census_equals_one_computed_in_a_plain_process(copy: Copy, mporch: Run) -> None:
    project = copy("jobs.yaml", "examples/__init__.py", "examples/census")
    ran = mporch(project / "jobs.yaml", timeout_s=250)
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN_CENSUS],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )

    assert ran.exit_code == 0, ran.stderr
    with (project / "plain.csv").open(newline="") as file:
        expected = sorted(csv.reader(file))
    with (project / "out/census.csv").open(newline="") as file:
        assert sorted(csv.reader(file)) == expected

    odd = plain.stdout.split()
    assert len(ran.having("item.skipped", job="parse", error_type="SyntaxError")) == len(odd)
    assert ran.summary["jobs"]["parse"]["skipped"] == len(odd)
    assert all(Path(path).name in ran.stderr for path in odd), "the report names what was skipped"

    table = ran.printed("report-1")
    assert len(table) == 12, "a header, ten modules, the totals"
    assert table[-1].startswith(f"{len(expected) - 1:,} modules: ")
    assert all(f"report-1 | {line}" in ran.stdout for line in table)


def test_complexity_is_one_more_than_the_decisions_of_each_scope(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    import ast  # noqa: PLC0415 -- with what it is needed for

    from examples.census.complexity import scopes  # noqa: PLC0415 -- found by the line above

    source = """
debug = 1 if __debug__ else 0

class Shop:
    def price(self, item, *, taxed=True and True):
        if item is None or item == "" or item.free:
            return 0
        elif taxed:
            return sum(part for part in item if part)
        def discount(x):
            while x: x -= 1
        try:
            return discount(item)
        except KeyError:
            return None

def kind(x):
    match x:
        case 1: return "one"
        case _ if x < 0: return "less"
        case _: return "more"
"""
    found = {scope.name: scope.complexity for scope in scopes(ast.parse(source))}
    assert found == {"<module>": 3, "Shop.price": 8, "Shop.price.discount": 2, "kind": 3}


def test_letters_side_by_side(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/letters") / "examples/letters/jobs.yaml")
    assert_letters(ran)
    assert ran.place("worker.started", job="reader") < ran.place("worker.ended", job="writer")


def test_letters_one_after_the_other(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/letters") / "examples/letters/after.yaml")
    assert_letters(ran)
    assert ran.place("job.ended", job="writer") < ran.place("worker.started", job="reader")


@pytest.mark.parametrize("spec", ["jobs.yaml", "after.yaml"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_handles_work_under_each_start_method(
    copy: Copy, mporch: Run, method: str, spec: str
) -> None:
    path = copy("examples/letters") / "examples/letters" / spec
    path.write_text(path.read_text() + f"defaults: {{start_method: {method}}}\n")
    ran = mporch(path)
    assert_letters(ran)
    assert {event["start_method"] for event in ran.having("worker.started")} == {method}


def test_the_same_letters_over_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples/letters/letters.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    wanted = "".join(f"{verb} {letter}\n" for verb in ("wrote", "read") for letter in "ABC")
    assert sorted(done.stdout) == sorted(wanted), "two processes on one terminal mix their words"


def assert_letters(ran: Ran) -> None:
    assert ran.exit_code == 0, ran.stderr
    assert ran.printed("writer-1") == ["wrote A", "wrote B", "wrote C"]
    assert ran.printed("reader-1") == ["read A", "read B", "read C"]
    mailbox = ran.summary["queues"]["mailbox"]
    assert (mailbox["put"], mailbox["done"], mailbox["left"]) == (3, 3, 0)


def test_bounded_shows_full_and_empty(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/bounded") / "examples/bounded/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    *filled, waited, at_once = ran.printed("fill-1")
    assert filled == [
        "put 1, full before: False",
        "put 2, full before: False",
        "put 3, full before: False",
        "full: True, qsize: 3",
    ]
    assert seconds(r"put\(4, timeout=2\): Full after ([\d.]+) s", waited) >= 2.0
    assert seconds(r"put_nowait\(4\): Full after ([\d.]+) s", at_once) < 2.0
    assert ran.printed("drain-1") == [
        "got 1, qsize: 2",
        "got 2, qsize: 1",
        "got 3, qsize: 0",
        "get_nowait(): Empty",
    ]
    assert ran.summary["queues"]["mailbox"]["put"] == 3, "what found no room was not put"


def seconds(pattern: str, line: str) -> float:
    found = re.fullmatch(pattern, line)
    assert found, line
    return float(found[1])


def test_clock_ends_politely_or_by_force(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/clock") / "examples/clock/jobs.yaml")
    assert ran.exit_code == 1
    assert ran.statuses() == {"polite": "timed_out", "stubborn": "timed_out", "count": "succeeded"}
    assert ran.printed("count-1") == ["1 2 3 4 5"]
    for worker in ("polite-1", "stubborn-1"):
        lines = ran.printed(worker)
        assert lines
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d", line) for line in lines)
    assert signals_to(ran, "polite-1") == ["SIGTERM"]
    assert signals_to(ran, "stubborn-1") == ["SIGTERM", "SIGKILL"]
    assert ran.having("worker.ended", worker="polite-1")[0]["exit_code"] == -15
    assert ran.having("worker.ended", worker="stubborn-1")[0]["exit_code"] == -9


def signals_to(ran: Ran, worker: str) -> list[str]:
    return [event["signal"] for event in ran.having("signal.sent", worker=worker)]


def test_the_lines_of_the_poem_leave_in_their_order(copy: Copy, mporch: Run) -> None:
    project = copy("examples/poem") / "examples/poem"
    ran = mporch(project / "jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    lines = (project / "poem.txt").read_text().splitlines()
    written = (project / "out/poem.txt").read_text().splitlines()
    assert [line[4:] for line in written] == lines


def test_the_questions_are_asked_at_their_rate_and_the_report_says_so(
    copy: Copy, mporch: Run
) -> None:
    ran = mporch(copy("examples/polite") / "examples/polite/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    (told,) = ran.printed("tell-1")
    assert seconds(r"20 questions in (\S+) s", told) > 1.5, "1.9 s, but for a late first start"
    assert "bottleneck: `look_up` limited the run for " in ran.stderr
    assert ran.summary["bottlenecks"][0]["why"] == "rate"
    assert ran.summary["jobs"]["look_up"]["waiting_rate_s"] > 1.0


def test_arguments_reach_the_target_with_their_types(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/arguments") / "examples/arguments/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    introduced, *shown = ran.printed("show-1")
    assert introduced == f"I am show-1, pid {pid_of(ran, 'show-1')}"
    assert shown == [
        "1 is a int",
        "2.5 is a float",
        "'text' is a str",
        "True is a bool",
        "None is a NoneType",
        "[1, 'two'] is a list",
        "{'three': 3} is a dict",
        "date='2024-01-31' is a str",
        "answer='no' is a str",
        "ratio=1000.0 is a float",
        "octal='010' is a str",
    ]


def test_arguments_shows_names_given_and_default(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/arguments") / "examples/arguments/jobs.yaml")
    for worker in ("pair-1", "pair-2"):
        assert ran.printed(worker) == [f"I am {worker}, pid {pid_of(ran, worker)}"]
    lines = [re.fullmatch(r"I am (\S+), pid (\d+)", line) for line in ran.printed("family-1")]
    family, helper, default = [(line[1], int(line[2])) for line in lines if line]
    assert family == ("family-1", pid_of(ran, "family-1"))
    assert helper[0] == "helper"
    assert re.fullmatch(r"Process-[\d:]+", default[0])
    assert len({family[1], helper[1], default[1]}) == 3, "three processes"


def pid_of(ran: Ran, worker: str) -> int:
    (started,) = ran.having("worker.started", worker=worker)
    pid: int = started["pid"]
    return pid


def test_isolation_lets_each_job_see_only_its_own_change(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/isolation") / "examples/isolation/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    assert ran.printed("apples-1") == ["['apple', 'apple', 'apple']"]
    assert ran.printed("pears-1") == ["['pear', 'pear', 'pear']"]
    assert ran.printed("look-1") == ["['empty so far']"]


def test_weblog_counts_every_line(copy: Copy, mporch: Run) -> None:
    project = copy("examples/weblog") / "examples/weblog"
    ran = mporch(project / "jobs.yaml")
    assert ran.exit_code == 0, ran.stderr

    lines = (project / "out/access.log").read_text().splitlines()
    assert len(lines) == 100_000
    whole = [line.split() for line in lines if len(line.split()) == 10]
    broken = [line for line in lines if len(line.split()) != 10]
    assert broken, "the generated log has malformed lines"

    by_status, by_path = Counter(line[8] for line in whole), Counter(line[6] for line in whole)
    expected = [*sorted(by_status.items()), *sorted(by_path.items())]
    printed = [line.split() for line in ran.printed("merge-1")]
    assert [(name, int(count)) for name, count in printed] == expected

    assert sorted((project / "out/malformed.log").read_text().splitlines()) == sorted(broken)
    assert ran.printed("complain-1") == [f"{len(broken)} malformed lines are in out/malformed.log"]
    assert ran.summary["queues"]["partial"]["done"] == 2, "each worker counted its part"
    assert ran.summary["queues"]["malformed"]["done"] == len(broken)


def test_store_writes_whole_batches_over_one_connection_a_worker(copy: Copy, mporch: Run) -> None:
    project = copy("examples/store") / "examples/store"
    ran = mporch(project / "jobs.yaml")
    assert ran.exit_code == 0, ran.stderr

    with sqlite3.connect(project / "out/readings.db") as database:
        rows = database.execute("SELECT * FROM readings ORDER BY number").fetchall()
    assert [row[:3] for row in rows] == [
        (
            number,
            ("attic", "cellar", "garden")[number % 3],
            round(20 + 5 * math.sin(number / 100), 3),
        )
        for number in range(10_000)
    ]
    batches = Counter((worker, batch) for _, _, _, worker, batch in rows)
    assert max(batches.values()) == 100
    for worker in ("store-1", "store-2"):
        written = sum(name == worker for name, _ in batches)
        assert ran.printed(worker) == [f"{written} batches written, connection closed"]
    assert len(ran.printed("report-1")) == 3


def test_pi_is_estimated_by_all_jobs_of_the_matrix(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/pi") / "examples/pi/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    names = ("darts_1000", "darts_100000", "needles_1000", "leibniz_5000")
    assert list(ran.statuses()) == [*(f"estimate_{name}" for name in names), "table"]
    rows = [line.split() for line in (ran.run_dir / "pi.txt").read_text().splitlines()]
    assert sorted(f"{method}_{steps.replace(',', '')}" for method, steps, _ in rows) == sorted(
        names
    )
    assert all(abs(float(value) - math.pi) < 0.4 for _, _, value in rows)
    assert ["leibniz", "5,000", "3.141393"] in rows


def test_images_arrive_whole(copy: Copy, mporch: Run) -> None:
    ran = mporch(copy("examples/images") / "examples/images/jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    chance = np.random.default_rng(1)
    shares = [
        float((chance.integers(0, 256, size=(1024, 1024), dtype=np.uint8) >= 100).mean())
        for _ in range(40)
    ]
    *each, total = ran.printed("measure-1")
    assert each == [f"picture {n}: {share:.4%} white" for n, share in enumerate(shares, start=1)]
    assert total == f"40 pictures, {sum(shares) / 40:.4%} white"


def test_every_example_has_a_test_and_a_description() -> None:
    text = (ROOT / "examples/README.md").read_text()
    pages = Path(__file__), Path(__file__).with_name("test_commands_page.py")
    here = "".join(page.read_text() for page in pages)
    for spec in sorted((ROOT / "examples").glob("*/*.yaml")):
        assert spec.parent.name in here
        assert spec.relative_to(ROOT / "examples").as_posix() in text
