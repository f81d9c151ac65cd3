"""A worker is asked for its stack: it answers from wherever it hangs, and ends."""

import mmap
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.engine.node.child import STACK_SIGNAL
from orchestrator.engine.node.crash import StackRequest, Unanswered
from orchestrator.ipc.cell import SHARED_BYTES, Cell

HANGING = """\
import os, re, signal, sys
from orchestrator.engine.node.child import tell_stack_into

def hang():
    print("ready", flush=True); {hang}
    print("goes on", flush=True)

tell_stack_into(int(sys.argv[1]))
hang()
"""
IN_C = "re.match('(a+)+$', 'a' * 60 + 'b')"
FOR_A_SIGNAL = "signal.pause()"
HELD = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); input()"


@pytest.fixture
def hanging(tmp_path: Path):
    """Starts a process that hangs in `line`; returns it and the request for its stack."""
    fd = os.memfd_create("cell")
    os.truncate(fd, SHARED_BYTES)
    cell = Cell(mmap.mmap(fd, SHARED_BYTES))
    file = tmp_path / "hanging.py"
    processes = []

    def start(line: str) -> tuple[subprocess.Popen[bytes], StackRequest]:
        file.write_text(HANGING.format(hang=line))
        process = subprocess.Popen(
            [sys.executable, file, str(fd)],
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout.readline() == b"ready\n"
        seen = SimpleNamespace(
            pid=process.pid, signal=process.send_signal, unstoppable=False, name="a-1"
        )
        return process, StackRequest(seen, cell)

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    cell.close()
    os.close(fd)


@pytest.mark.parametrize("line", [IN_C, FOR_A_SIGNAL], ids=["in C", "for a signal"])
def test_it_tells_where_it_hangs_and_does_nothing_more(hanging, tmp_path, line):
    process, request = hanging(line)
    assert request.ask()
    out, _ = process.communicate()
    assert (process.returncode, out) == (-STACK_SIGNAL, b"")
    answer = request.answer()
    assert answer.where == f"{tmp_path}/hanging.py:5"
    assert f'  File "{tmp_path}/hanging.py", line 5, in hang\n' in answer.traceback


def test_who_was_not_asked_is_nowhere_whatever_it_has_sent_to_itself(hanging):
    process, request = hanging(FOR_A_SIGNAL)
    assert request.answer() is None
    process.send_signal(STACK_SIGNAL)
    assert process.wait() == -STACK_SIGNAL
    assert request.answer() is None


def test_a_program_that_a_target_has_executed_is_not_asked(hanging):
    process, request = hanging("os.execvp('sleep', ['sleep', '60'])")
    while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
        select.select([], [], [], 0.01)
    assert not request.ask()


def test_a_thread_that_holds_the_signal_back_is_not_asked(hanging):
    process, request = hanging(HELD)
    held = 1 << (signal.SIGUSR1 - 1)
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        mask = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        if int(mask.split()[1], 16) & held:
            break
        select.select([], [], [], 0.01)
    assert not request.ask()


def test_who_does_not_answer_is_told_once_after_half_a_second():
    asked = Unanswered()
    asked.add("a-1", 100.0)
    asked.add("a-2", 100.2)
    assert asked.next_check() == 100.5
    assert list(asked.due(100.4)) == []
    assert list(asked.due(100.5)) == ["a-1"]
    assert list(asked.due(100.6)) == []
    asked.remove("a-2")
    assert asked.next_check() is None
