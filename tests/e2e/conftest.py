"""The installed command, run on a copy of the project's files or of an example."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from e2e_runs import ROOT, Ran, finished

COMMAND = Path(sys.executable).with_name("mporch")
LEFT_AFTER_S = 2.0


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed `mporch` of the environment the tests run in."""
    assert COMMAND.exists(), f"install the project into {sys.prefix} first: pip install '.[test]'"
    return COMMAND


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """Copies files and folders of the repository, by their path in it, into a project folder."""

    def copied(*paths: str) -> Path:
        project = tmp_path / "project"
        for path in paths:
            source, target = ROOT / path, project / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".mporch", "out")
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        return project

    return copied


@pytest.fixture
def in_folder(command: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `mporch ARGUMENT…` in the test's own folder."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return finished([command, *arguments], cwd=tmp_path, env=os.environ, timeout_s=60)

    return run


@pytest.fixture
def mporch(command: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Runs `mporch run SPEC OPTION…` and checks that no process of the run is left."""

    def run(spec: Path, *options: str, timeout_s: float = 100.0) -> Ran:
        run_dir = tmp_path / f"run-{uuid.uuid4().hex}"
        mark = ("MPORCH_TEST_MARK", run_dir.name)
        done = finished(
            [command, "run", spec.name, "--run-dir", run_dir, *options],
            cwd=spec.parent,
            env={**os.environ, mark[0]: mark[1]},
            timeout_s=timeout_s,
        )
        _, alive = psutil.wait_procs(_marked(mark), timeout=LEFT_AFTER_S)
        assert not alive, f"left behind: {alive}"
        return Ran(
            exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr, run_dir=run_dir
        )

    return run


def _marked(mark: tuple[str, str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().items():
                found.append(process)
        except psutil.Error:  # gone in the meantime, or somebody else's
            continue
    return found
