"""`mporch test`, the installed command: its page, the examples, what it kills and what it tells."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from e2e_runs import ROOT, finished

PAGE = (ROOT / "docs" / "testing.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {text.splitlines()[0][2:]: text for kind, text in FENCES if kind in {"yaml", "python"}}
COMMANDS = [line[2:] for kind, text in FENCES if kind == "console" for line in text.splitlines()]
EXAMPLES = [
    spec.relative_to(ROOT)
    for spec in (ROOT / "jobs.yaml", *sorted(ROOT.glob("examples/*/*.yaml")))
    if "\ntests:" in spec.read_text()
]

Test = Callable[..., subprocess.CompletedProcess[str]]
Copy = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "lines.txt").write_text("one\ntwo words\nand three more\n")
    return folder


@pytest.fixture
def mporch_test(command: Path, folder: Path, tmp_path: Path) -> Test:
    """Runs `mporch test OPTION…`; what cases leave is under `tmp_path/kept`."""
    kept = tmp_path / "kept"
    kept.mkdir()

    def run(*options: str, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "TMPDIR": str(kept)}
        return finished([command, "test", *options], cwd=cwd, env=env, timeout_s=100)

    return run


def cases_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {case["name"]: case for case in json.loads(done.stdout)["cases"]}


def test_every_command_of_the_page_works(folder: Path, command: Path) -> None:
    env = {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    assert len(COMMANDS) >= 5
    for line in COMMANDS:
        done = finished(line, cwd=folder, env=env, timeout_s=100)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert json.loads((folder / "report.json").read_text())["passed"] == 3
    (suite,) = ET.parse(folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")
    assert not (folder / ".mporch").exists(), "cases are no runs of the project"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, id=str(spec), marks=[pytest.mark.long] if at % 3 else [])
        for at, spec in enumerate(EXAMPLES)
    ],
)
def test_the_cases_of_an_example_pass(copy: Copy, mporch_test: Test, spec: Path) -> None:
    paths = [str(spec.parent)]
    if spec.name == str(spec):
        paths = [str(spec), "examples/__init__.py", "examples/census"]
    project = copy(*paths)
    done = mporch_test(str(spec), cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_most_examples_have_cases() -> None:
    assert len(EXAMPLES) >= 6


def test_a_case_that_fails_says_what_differs_and_keeps_its_run(
    folder: Path, mporch_test: Test, command: Path, tmp_path: Path
) -> None:
    spec = FILES["jobs.yaml"].replace("words=1)", "words=2)")
    (folder / "jobs.yaml").write_text(spec)
    done = mporch_test("-k", "counted", "--junit", "report.xml")
    assert done.returncode == 1
    told = re.sub(r"\(\d.*? s\)|in \d.*? s$|/\S+", "…", done.stdout, flags=re.MULTILINE)
    assert told == (
        "FAIL  words are counted …\n"
        "      queue facts: 2 items, not as expected\n"
        "          Fact(line='a b c', words=3)\n"
        "        - {'$repr': \"Fact(line='one', words=2)\"}\n"
        "        + Fact(line='one', words=1)\n"
        "      its run: mporch show …\n"
        "1 of 1 case failed …\n"
    )
    (run,) = (tmp_path / "kept").glob("mporch-test-*")
    shown = finished([command, "show", run], cwd=folder, env=os.environ, timeout_s=60)
    assert shown.returncode == 0
    assert "given-lines" in shown.stdout
    (suite,) = ET.parse(folder / "report.xml").getroot()
    assert suite.get("failures") == "1"


def test_cases_that_pass_leave_nothing(mporch_test: Test, tmp_path: Path) -> None:
    assert mporch_test("-k", "dead letter").returncode == 0
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-k", "word are counted"), 'no case of jobs.yaml has "word are counted" in its name'),
        (("nothing.yaml",), "there is no such file"),
        (("-k", "counted", "--junit", "no/such/folder.xml"), "cannot write no/such/folder.xml"),
        (("--set", "jobs.count.workers=x"), "expected a whole number"),
        (("--set", "tests.words are counted.timeout=3"), "a duration needs a unit"),
    ],
)
def test_a_wrong_command_line_or_spec_ends_with_2(
    mporch_test: Test, options: tuple[str, ...], words: str
) -> None:
    done = mporch_test(*options)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_spec_without_tests_says_so(folder: Path, mporch_test: Test) -> None:
    (folder / "jobs.yaml").write_text(FILES["jobs.yaml"].partition("\ntests:")[0])
    done = mporch_test()
    assert done.returncode == 2
    assert "jobs.yaml has no tests:" in done.stderr


VARIED = """\
version: 1
vars: {words: [a, b], workers: 1}
queues: {lines: 10, facts: 10}
jobs:
  read: {target: "words:read", args: [nowhere], output: lines}
  count: {target: "words:count", input: lines, output: facts, workers: "${vars.workers}"}
  show: {target: "words:complain", input: facts}
tests:
  own variables:
    vars: {words: [c d, "${CASE}"]}
    replace: {read: ["${vars.words}"], show: null}
    expect: {queues: {lines: [[c d, e]]}, exit_code: 1}
  as they are:
    replace: {read: ["${vars.words}"], show: null}
    expect: {queues: {lines: [[a, b]]}, exit_code: 1}
"""


def test_a_case_has_variables_of_its_own(
    folder: Path, mporch_test: Test, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASE", "e")
    (folder / "jobs.yaml").write_text(VARIED)
    done = mporch_test()
    assert done.returncode == 0, done.stdout


def test_variables_of_a_case_that_make_the_spec_wrong_are_told_before_anything_is_run(
    folder: Path, mporch_test: Test, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASE", "e")
    (folder / "jobs.yaml").write_text(VARIED + "  wrong: {vars: {workers: 0}}\n")
    done = mporch_test()
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"jobs\.yaml:6:\d+: error: 0 is too small: .*case \"wrong\"", done.stderr)


KILLS = """\
version: 1
queues: {numbers: 5, doubled: 5, copies: 5, sums: 5, kept: 5}
jobs:
  count: {target: "mine:count", args: [20], output: numbers}
  double: {target: "mine:Double", kwargs: {by: 2}, input: numbers, output: doubled, workers: 2,
           retry: {attempts: 4}}
  copy: {target: "mine:copy", input: doubled, output: {out: copies}, retry: {attempts: 4}}
  add: {target: "mine:add", input: copies, output: sums, call: batch, batch: {size: 3}}
  keep: {target: "mine:keep", input: sums, call: stream, output: kept}
  drain: {target: "mine:drain", input: {numbers: kept}}
tests:
  item:
    kill: {job: double, at_item: 7}
    expect:
      queues: &all
        doubled: {count: 20, contains: [0, 14, 38]}
        kept: {at_least: 1}
      log: [{event: item.retried, job: double}]
  item with a handle:
    kill: {job: copy, at_item: 3}
    expect: {queues: {<<: *all, copies: 20}, log: [{event: item.retried, job: copy}]}
  two of a job, and one of another:
    kill: [{job: double, at_item: 3}, {job: double, at_item: 9}, {job: copy, at_item: 20}]
    expect: {queues: {<<: *all, copies: 20}, log: [{event: item.retried, job: copy}]}
  batch:
    kill: {job: add, at_item: 4}
    expect: {queues: *all, log: [{event: worker.replaced, job: add}]}
  stream:
    kill: {job: keep, at_item: 2}
    expect:
      exit_code: 1
      jobs: {keep: failed}
      log: [{event: worker.ended, job: keep, exit_code: -9}]
  handles:
    kill: {job: drain, at_item: 1}
    expect:
      exit_code: 1
      jobs: {drain: failed}
      log: [{event: worker.ended, job: drain, exit_code: -9}]
  source:
    kill: {job: count, at_item: 5}
    expect: {exit_code: 1, jobs: {count: failed}, queues: {numbers: {at_most: 4}}}
"""

MINE = """\
def count(to):
    yield from range(to)


class Double:
    def __init__(self, by):
        self.by = by
        self.entered = False

    def __enter__(self):
        self.entered = True
        return self

    def __exit__(self, *exception):
        print("left")

    def __call__(self, number):
        assert self.entered
        return self.by * number


def copy(number, out):
    out.put(number)


def add(numbers):
    return [sum(numbers)]


def keep(sums):
    yield from sums


def drain(numbers):
    for number in numbers:
        print(number)
"""


def test_a_worker_of_any_shape_is_killed_at_its_item_and_the_policies_hold(
    folder: Path, mporch_test: Test
) -> None:
    (folder / "jobs.yaml").write_text(KILLS)
    (folder / "mine.py").write_text(MINE)
    done = mporch_test("--format", "json")
    cases = cases_of(done)
    assert len(cases) == 7
    assert {name: case["failed"] for name, case in cases.items() if not case["passed"]} == {}


def test_a_source_that_may_be_called_again_is_killed_once(folder: Path, mporch_test: Test) -> None:
    spec = KILLS.replace("output: numbers}", "output: numbers, restart: {replay: skip}}")
    spec = spec.replace("exit_code: 1, jobs: {count: failed}, queues: {numbers: {at_most: 4}}",
                        "queues: {numbers: {count: 20, each: {$type: int}}}")  # fmt: skip
    (folder / "jobs.yaml").write_text(spec)
    (folder / "mine.py").write_text(MINE)
    done = mporch_test("-k", "source")
    assert done.returncode == 0, done.stdout


MISSED = """
  neighbours:
    kill: [{job: double, at_item: 2}, {job: double, at_item: 3}]
    expect: {exit_code: 5}
  an item that comes again:
    kill: [{job: copy, at_item: 2}, {job: copy, at_item: 2}, {job: copy, at_item: 2},
           {job: copy, at_item: 2}]
    expect: {exit_code: 1, jobs: {copy: failed}}
  a failed batch: {kill: [{job: add, at_item: 2}, {job: add, at_item: 2}],
                   expect: {exit_code: 1, jobs: {add: failed}}}
  too late: {kill: [{job: double, at_item: 21}, {job: count, at_item: 100}], expect: {exit_code: 0}}
"""


def test_a_kill_is_at_another_item_or_the_same_one_again_and_one_that_never_happens_fails_its_case(
    folder: Path, mporch_test: Test
) -> None:
    (folder / "jobs.yaml").write_text(KILLS.partition("\ntests:")[0] + "\ntests:" + MISSED)
    (folder / "mine.py").write_text(MINE)
    done = mporch_test("--format", "json", "--junit", "report.xml")
    cases = cases_of(done)
    hints = [failed["hint"] for failed in cases["neighbours"]["failed"]]
    assert hints == ["the case itself has killed 2 workers of double"]
    assert cases["an item that comes again"]["failed"] == []
    assert cases["a failed batch"]["failed"] == []
    assert [(each["message"], each["hint"]) for each in cases["too late"]["failed"]] == [
        ("double never began its 21st item: nothing was killed", "it began 20"),
        ("count never gave its 100th item: nothing was killed", "it gave 20"),
    ]
    assert "kill: double never began its 21st item" in (folder / "report.xml").read_text()
    assert done.returncode == 1


def test_the_same_pipeline_run_plainly_kills_nobody(
    folder: Path, command: Path, tmp_path: Path
) -> None:
    (folder / "jobs.yaml").write_text(KILLS)
    (folder / "mine.py").write_text(MINE)
    run = [command, "run", "--run-dir", tmp_path / "run", "--format", "json"]
    done = finished(run, cwd=folder, env=os.environ, timeout_s=60)
    summary = json.loads(done.stdout)
    assert summary["exit_code"] == 0
    assert all(job["restarts"] == 0 for job in summary["jobs"].values())
