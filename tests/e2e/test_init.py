"""What `mporch init` writes runs and passes its test at once, without a network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_runs import finished

from orchestrator.cli.init import TEMPLATES

OFFLINE = {"http_proxy": "http://192.0.2.1:9", "https_proxy": "http://192.0.2.1:9"}
"""Whoever asks for more than loopback asks a place that the standards keep empty."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_runs_and_its_test_is_green(
    command: Path, tmp_path: Path, template: str
) -> None:
    env = {**os.environ, **OFFLINE, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}

    def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return finished(line, cwd=cwd, env=env, timeout_s=60)

    written = shell(f"mporch init here --template {template}", tmp_path)
    assert written.returncode == 0, written.stderr
    assert "here/jobs.yaml" in written.stdout.splitlines()
    project = tmp_path / "here"
    ran = shell("mporch run", project)
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    cases = shell("mporch test", project)
    assert cases.returncode == 0, cases.stdout + cases.stderr
    shutil.rmtree(project / "out")
    tested = shell(f"{sys.executable} -W error -m unittest", project)
    assert tested.returncode == 0, tested.stderr
    assert tested.stderr.splitlines()[-1] == "OK"
    assert "Ran 0 tests" not in tested.stderr
