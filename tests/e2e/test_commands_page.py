"""docs/commands.md is true: its specs are run, and the example of commands too."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_runs import ROOT, Ran, finished

PAGE = (ROOT / "docs" / "commands.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SPECS = {text.splitlines()[0].removeprefix("# "): text for kind, text in FENCES if kind == "yaml"}
COMMANDS = [line[2:] for kind, text in FENCES if kind == "console" for line in text.splitlines()]

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(command: Path, tmp_path: Path) -> Shell:
    """Runs a line of the page in a folder with its specs."""
    for name, text in SPECS.items():
        (tmp_path / name).write_text(text)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    return lambda line: finished(line, cwd=tmp_path, env=env, timeout_s=60)


def test_each_command_of_the_page_succeeds(shell: Shell) -> None:
    assert len(COMMANDS) == len(SPECS) == 2
    for line in COMMANDS:
        assert (done := shell(line)).returncode == 0, done.stderr


def test_the_pipeline_of_the_page_tells_of_the_large_file_only(shell: Shell) -> None:
    assert shell("mporch run").stdout == "tell-1 | 8893 TEXTS/MANY.TXT\n"


def test_a_failed_item_is_told_with_its_status_and_last_words(shell: Shell) -> None:
    done = shell("mporch run careful.yaml")
    assert "check-1 | three is odd" in done.stdout + done.stderr
    assert re.search(r"CommandError: .*: exit status 9: three is odd", done.stderr)


def test_the_example_of_commands_counts_words(
    copy: Callable[..., Path], mporch: Callable[..., Ran]
) -> None:
    project = copy("examples/commands") / "examples/commands"
    ran = mporch(project / "jobs.yaml")
    assert ran.exit_code == 0, ran.stderr
    assert sorted(ran.printed("tell-1")) == [
        "texts/two cities.txt has 6 words",
        "texts/whale.txt has 6 words",
    ]
    assert (project / "out/texts.tgz").exists()


def test_doctor_tells_how_many_workers_auto_is(shell: Shell) -> None:
    told = re.search(r"`workers: auto` is (\d+)", shell("mporch doctor").stdout)
    assert told
    usable = len(os.sched_getaffinity(0))
    assert 1 <= int(told[1]) <= usable
