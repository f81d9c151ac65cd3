"""Workers of Python targets do not pay for commands."""

import subprocess
import sys


def test_a_worker_imports_what_runs_commands_only_for_a_command():
    look = (
        "import sys, orchestrator.worker.main;"
        "print([m for m in sys.modules if 'command' in m and m.startswith('orchestrator.ipc')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]", done.stdout
