"""docs/from-multiprocessing.md is true: its programs and its spec are run."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_runs import ROOT, finished

PAGE = (ROOT / "docs" / "from-multiprocessing.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {
    text.splitlines()[0].removeprefix("# "): text
    for kind, text in FENCES
    if kind in {"python", "yaml"}
}
COMMANDS = [line[2:] for kind, text in FENCES if kind == "console" for line in text.splitlines()]

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(command: Path, tmp_path: Path) -> Shell:
    """Runs a line in a folder with the page's files, with the installed `mporch` on the path."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    return lambda line: finished(line, cwd=tmp_path, env=env, timeout_s=60)


def test_each_command_of_the_page_succeeds(shell: Shell) -> None:
    assert len(COMMANDS) == 3
    for line in COMMANDS:
        assert (done := shell(line)).returncode == 0, done.stderr


def test_the_programs_print_what_they_would_with_the_standard_librarys_queue(
    shell: Shell, tmp_path: Path
) -> None:
    ours = shell("python program.py").stdout
    text = FILES["program.py"].replace("from orchestrator import", "from multiprocessing import")
    (tmp_path / "program.py").write_text(text)
    assert ours == shell("python program.py").stdout == "285\n"
    assert shell("python waiting.py").stdout == "from another process\n"


def test_a_process_class_and_a_polling_loop_are_jobs_as_they_are(shell: Shell) -> None:
    done = shell("mporch run mail.yaml --output raw")
    assert done.stdout.splitlines() == ["read A", "read B", "read C"]


def test_without_its_sentinel_the_loop_ends_too(shell: Shell, tmp_path: Path) -> None:
    text = FILES["mail.py"].replace("        self.q.put(None)\n", "")
    (tmp_path / "mail.py").write_text(text)
    done = shell("mporch run mail.yaml --output raw")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["read A", "read B", "read C"]
    assert "goes on asking queue 'mailbox', which has ended" in done.stderr
