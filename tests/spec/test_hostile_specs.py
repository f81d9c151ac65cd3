"""No spec takes mporch more than 2 s of processor time or 200 MB, or ends it by a signal."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import HOSTILE

COMMAND = Path(sys.executable).with_name("mporch")
CPU_S = 2.0
MEMORY_KIB = 200_000
PROBLEM = re.compile(r"jobs\.yaml:[1-9]\d*:[1-9]\d*: (error|warning): .+ \[MP\d{3}\]")


MEASURE = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
cpu_s = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), cpu_s, usage.ru_maxrss]))
"""


def validated(folder):
    """Run the command; return its exit code (negative: a signal), seconds, KiB, standard error.

    A small process starts it: the peak that Linux tells of a process counts its parent's memory.
    """
    (folder / "measure.py").write_text(MEASURE)
    done = subprocess.run(
        [sys.executable, "-I", "measure.py", COMMAND, "validate", "jobs.yaml"],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    return *json.loads(done.stdout.splitlines()[-1]), done.stderr


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
    code, cpu_s, memory_kib, err = validated(tmp_path)
    assert code in {0, 2}
    assert "Traceback" not in err
    if code == 2:
        assert PROBLEM.search(err)
    assert cpu_s < CPU_S
    assert memory_kib < MEMORY_KIB
