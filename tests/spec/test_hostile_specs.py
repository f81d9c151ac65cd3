"""No spec takes mporch more than 2 s of processor time or 200 MB, or ends it by a signal."""

import os
import re
import sys
from pathlib import Path

import pytest
from hostile import HOSTILE

COMMAND = Path(sys.executable).with_name("mporch")
CPU_S = 2.0
MEMORY_KIB = 200_000
PROBLEM = re.compile(r"jobs\.yaml:[1-9]\d*:[1-9]\d*: (error|warning): .+ \[MP\d{3}\]")


def validated(folder):
    """Run the command; return its exit code (negative: a signal), rusage and standard error."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, folder / "err", os.O_WRONLY | os.O_CREAT, 0o600),
    ]
    spec = str(folder / "jobs.yaml")
    pid = os.posix_spawn(COMMAND, ["mporch", "validate", spec], os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage, (folder / "err").read_text()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[pytest.mark.long] if at % 3 else [])
        for at, (name, make) in enumerate(HOSTILE.items())
    ],
)
def test_a_hostile_spec_is_answered_within_bounds(make, tmp_path):
    (tmp_path / "jobs.yaml").write_text(make(), encoding="utf-8")
    assert (tmp_path / "jobs.yaml").stat().st_size <= 1 << 20
    code, usage, err = validated(tmp_path)
    assert code in {0, 2}
    assert "Traceback" not in err
    if code == 2:
        assert PROBLEM.search(err)
    assert usage.ru_utime + usage.ru_stime < CPU_S
    assert usage.ru_maxrss < MEMORY_KIB
