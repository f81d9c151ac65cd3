"""The hooks for pre-commit do what they say with the installed command."""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from e2e_runs import ROOT, finished

HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}


def test_each_hook_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    assert set(re.findall(r"`(mporch-validate[\w-]*)`", page)) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hook_takes_specs_alone_and_finds_what_is_wrong(
    command: Path, tmp_path: Path, hook: dict[str, str]
) -> None:
    names = ["jobs.yaml", "deep/jobs.yml", "other.yaml", "myjobs.yaml"]
    chosen = [name for name in names if re.search(hook["files"], name)]
    assert chosen == names[:2]
    env = {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / "deep").mkdir()
    for name in chosen:
        shutil.copy(ROOT / "examples/letters/jobs.yaml", tmp_path / name)
        shutil.copy(ROOT / "examples/letters/letters.py", (tmp_path / name).parent)
    line = f"{hook['entry']} {' '.join(chosen)}"
    assert finished(line, cwd=tmp_path, env=env, timeout_s=60).returncode == 0
    spec = tmp_path / chosen[1]
    text = spec.read_text().replace("jobs:\n", "jobs:\n  more: {}\n", 1)
    spec.write_text(text)
    line_of_more = text.splitlines().index("  more: {}") + 1
    done = finished(line, cwd=tmp_path, env=env, timeout_s=60)
    assert done.returncode == 2
    assert f"deep/jobs.yml:{line_of_more}:3: error: the key target is missing" in done.stderr
