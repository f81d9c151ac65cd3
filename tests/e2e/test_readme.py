"""The README is true: its commands and its snippets are run."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_runs import ROOT, finished

README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILES = {
    text.splitlines()[0].removeprefix("# "): text
    for kind, text in FENCES
    if kind in {"python", "yaml"}
}
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in FENCES
    if kind == "console"
    for line in text.splitlines()
]
RUN_LINE, TEST_LINE = [text.strip() for kind, text in FENCES if kind == "sh"]

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(command: Path, tmp_path: Path) -> Shell:
    """Runs a line in a folder with the README's files, with the installed `mporch` on the path."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return finished(line, cwd=tmp_path, env={**os.environ, "PATH": path}, timeout_s=100)

    return run


@pytest.mark.timeout(550)
@pytest.mark.skipif(
    shutil.which("python3.11") is None, reason="the command names python3.11, which is not here"
)
def test_one_line_installs_and_runs_the_census(tmp_path: Path) -> None:
    kept = shutil.ignore_patterns(".*", "out", "build", "*.egg-info", "__pycache__")
    project = shutil.copytree(ROOT, tmp_path / "project", ignore=kept)
    # As on a user's machine: the form that is built is the default one, whatever these tests have.
    own = {**os.environ}
    for name in ("PYTHONPATH", "MPORCH_BUILD"):
        own.pop(name, None)
    done = finished(RUN_LINE, cwd=project, env=own, timeout_s=500)
    assert done.returncode == 0, done.stderr
    assert re.search(r"report-1 \| [\d,]+ modules: ", done.stdout)
    assert "skipped by on_error" in done.stderr
    assert (project / "out/census.csv").exists()


@pytest.mark.timeout(400)
def test_every_command_of_the_readme_works(shell: Shell) -> None:
    assert len(COMMANDS) >= 7
    for line in COMMANDS:
        done = shell(line)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_first_pipeline_prints_its_sum_under_its_workers_name(shell: Shell) -> None:
    assert shell("mporch run").stdout == f"total-1 | the sum is {sum(n * n for n in range(1000))}\n"


def test_a_handle_function_ends_without_a_sentinel(shell: Shell) -> None:
    done = shell("mporch run letters.yaml --output raw")
    assert done.stdout.splitlines() == ["read A", "read B", "read C"]


def test_a_program_runs_a_spec_and_uses_a_queue_alone(shell: Shell) -> None:
    assert shell("python program.py").stdout == "1000 items were squared\n"
    assert shell("python queues.py").stdout.splitlines()[-1] == "['A', 'B', 'C']"


def test_each_figure_names_a_benchmark_that_is_there() -> None:
    named = re.findall(r"python -m benchmarks\.(\w+)", README)
    assert named
    for name in named:
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


def test_the_books_of_the_careful_spec_balance(shell: Shell) -> None:
    summary = json.loads(shell("mporch run careful.yaml --format json").stdout)
    assert summary["exit_code"] == 0
    for queue in summary["queues"].values():
        assert queue["put"] == queue["done"] == 1000


@pytest.mark.parametrize(
    ("raised", "exit_code", "words"),
    [
        ("TypeError", 1, r"square-1 failed at todo:8 \(7\): TypeError: 7 .*/squares\.py:7"),
        ("ValueError", 0, r"square todo:8 \(7\): ValueError: 7 .*/squares\.py:7"),
    ],
)
def test_an_exception_ends_as_the_table_says(
    shell: Shell, tmp_path: Path, raised: str, exit_code: int, words: str
) -> None:
    text = FILES["squares.py"].replace(
        "    return number", f"    if number == 7: raise {raised}(number)\n    return number"
    )
    (tmp_path / "squares.py").write_text(text)
    done = shell("mporch run careful.yaml")
    assert done.returncode == exit_code
    assert re.search(words, done.stderr), done.stderr


def test_a_worker_that_dies_is_named_with_its_signal_and_item(shell: Shell, tmp_path: Path) -> None:
    text = FILES["squares.py"].replace(
        "    return number", "    if number == 7: __import__('os').kill(0, 9)\n    return number"
    )
    (tmp_path / "squares.py").write_text(text)
    done = shell("mporch run careful.yaml")
    assert done.returncode == 1
    assert re.search(r"square-1 failed .*killed by SIGKILL .*at item todo:8", done.stderr)


def test_jobs_that_wait_for_each_other_are_named(shell: Shell, tmp_path: Path) -> None:
    stalls = FILES["letters.yaml"].replace("mailbox: 3", "mailbox: 1")
    stalls = stalls.replace("input: {q: mailbox}", "input: {q: mailbox}, after: writer")
    (tmp_path / "stalls.yaml").write_text(stalls)
    done = shell("mporch run stalls.yaml")
    assert done.returncode == 1
    assert re.search(r"error: .*writer.*mailbox", done.stderr), done.stderr


def test_a_wrong_spec_is_refused_with_line_and_column(shell: Shell, tmp_path: Path) -> None:
    wrong = FILES["jobs.yaml"].replace("output: todo", "output: tood").replace("workers", "wokers")
    (tmp_path / "wrong.yaml").write_text(wrong)
    done = shell("mporch run wrong.yaml")
    assert done.returncode == 2
    assert len(re.findall(r"^wrong\.yaml:\d+:\d+: error: ", done.stderr, re.MULTILINE)) >= 2


def test_links_of_the_documents_lead_somewhere() -> None:
    for name in ("README.md", "CHANGELOG.md", "examples/README.md"):
        page = ROOT / name
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{name}: {link}"


def test_the_claim_is_that_of_the_semantics() -> None:
    claim = re.search(r"\*\*(exactly once.*?)\*\*", words(ROOT / "docs/semantics.md"))
    assert claim
    assert claim[1].rstrip(".") in words(ROOT / "README.md")


def words(page: Path) -> str:
    return re.sub(r"\s+", " ", page.read_text())


def test_ci_runs_the_test_command_of_the_readme() -> None:
    pattern = re.search(r"grep -m1 '(.*?)' README\.md", (ROOT / ".ci/run").read_text())
    assert pattern
    found = subprocess.run(
        ["grep", pattern[1], ROOT / "README.md"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == TEST_LINE
