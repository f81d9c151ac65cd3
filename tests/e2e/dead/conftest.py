"""The installed command in a project folder, and a run of it that has left dead letters."""

import json
from pathlib import Path

import pytest
from dead_runs import BROKEN, SPEC, Mporch


@pytest.fixture
def mporch(in_folder: Mporch) -> Mporch:
    """Runs `mporch ARGUMENT…` in a project folder."""
    return in_folder


@pytest.fixture
def broken(mporch: Mporch, tmp_path: Path) -> str:
    """A run with three dead letters: one raised, one died, one's result cannot be pickled."""
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(BROKEN)
    done = mporch("run", "--format", "json")
    assert done.returncode == 3, done.stderr
    run_id: str = json.loads(done.stdout)["run"]
    return run_id
