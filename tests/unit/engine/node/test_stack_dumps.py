"""A worker shows its stack from wherever it hangs, and goes on."""

import mmap
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.core.protocol.events import Blame
from orchestrator.engine.node.stacks import Look, Looks
from orchestrator.ipc.cell import SHARED_BYTES, Cell
from orchestrator.ipc.stacks import LOOK_SIGNALS, is_whole
from orchestrator.plan.model import Command

HANGING = """\
import mmap, os, re, signal, sys, threading, time
from orchestrator.ipc.stacks import answer, keep_answering

words = memoryview(mmap.mmap(int(sys.argv[2]), mmap.PAGESIZE))[:64].cast("q")

def hang():
    {first}
    keep_answering(words)
    print("ready", flush=True); {hang}
    print("goes on", flush=True)

def deep(n):
    return deep(n - 1) if n else (print("deep", flush=True), input())

def begin():
    answer(int(sys.argv[1]), words)
    hang()

def main():
    begin()

main()
"""
HOLDS_THE_GIL = "re.match('(a+)+$', 'a' * 60 + 'b')"
TAKEN = "signal.signal(signal.SIGRTMAX - {}, lambda *_: print('taken', flush=True))"
BLAME = Blame(lease=3, index=4)


@pytest.fixture
def hanging(tmp_path: Path):
    """Starts a process that hangs in `hang`; returns it and a function that asks it once."""
    file = tmp_path / "hanging.py"
    processes, fds, cells = [], [], []

    def start(hang: str, first: str = "pass", **job):
        file.write_text(HANGING.format(hang=hang, first=first))
        out, into = os.pipe()
        os.set_blocking(out, False)
        page = os.memfd_create("cell")
        os.truncate(page, SHARED_BYTES)
        process = subprocess.Popen(
            [sys.executable, file, str(into), str(page)],
            pass_fds=[into, page],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        os.close(into)
        cell = Cell(mmap.mmap(page, SHARED_BYTES))
        processes.append(process)
        fds.extend((out, page))
        cells.append(cell)
        assert process.stdout.readline() == b"ready\n"
        seen = SimpleNamespace(
            pid=process.pid, signal=process.send_signal, unstoppable=False, stacks_fd=out
        )
        worker = SimpleNamespace(
            process=seen,
            cell=cell,
            mark="",
            job=SimpleNamespace(**({"target": None} | job)),
            at=lambda: (BLAME, 1.5),
        )
        return process, lambda: asked(worker)

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    for cell in cells:
        cell.close()
    for fd in fds:
        os.close(fd)


def asked(worker):
    """The answer, whole or after its time."""
    look = Look(worker)
    answer = look.ask()
    while answer is None:
        if not select.select([look.fd], [], [], 1.0)[0]:
            answer = look.late()
            break
        answer = look.read()
    look.close()
    return answer


def names(stack):
    """The functions of the main thread, the outermost first."""
    (main,) = [thread for thread in stack.threads if thread.is_main]
    return [name for _, _, name in main.frames]


@pytest.mark.parametrize("line", [HOLDS_THE_GIL, "time.sleep(99)", "input()"])
def test_it_tells_where_it_is_and_goes_on(hanging, tmp_path, line):
    process, ask = hanging(line)
    for _ in range(3):
        stack = ask()
        assert (stack.pid, stack.why, stack.blame, stack.at_item_s) == (process.pid, "", BLAME, 1.5)
        assert names(stack)[:4] == ["<module>", "main", "begin", "hang"]
        (main,) = stack.threads
        assert main.frames[3] == (f"{tmp_path}/hanging.py", 9, "hang")
    assert process.poll() is None


def test_who_waits_for_input_gets_it_after_it_has_told(hanging):
    process, ask = hanging("input()")
    ask()
    assert process.communicate(b"more\n")[0] == b"goes on\n"


def test_each_thread_is_told_with_the_main_one_marked(hanging):
    _, ask = hanging("input()", "threading.Thread(target=time.sleep, args=[99]).start()")
    stack = ask()
    assert [thread.is_main for thread in stack.threads] == [True]  # the other is all of Python's
    assert stack.threads_ours == 1
    _, ask = hanging("input()", "threading.Thread(target=lambda: time.sleep(99)).start()")
    threads = ask().threads
    assert [(thread.is_main, thread.frames[-1][2]) for thread in threads] == [
        (False, "<lambda>"),
        (True, "hang"),
    ]


@pytest.mark.parametrize("depth", [80, 94, 95, 96, 500])
def test_a_deep_stack_ends_too(hanging, depth):
    process, ask = hanging(f"deep({depth})")
    assert process.stdout.readline() == b"deep\n"
    stack = ask()
    assert stack.why == ""
    assert names(stack)[-1] == "deep"
    assert len(names(stack)) == min(depth + 5, 100)


def test_of_many_threads_the_newest_are_told_and_that_they_are_not_all(hanging):
    _, ask = hanging(
        "input()", "for _ in range(120): threading.Thread(target=lambda: time.sleep(99)).start()"
    )
    stack = ask()
    assert len(stack.threads) == 100
    assert "more threads than the newest 100" in stack.why


def test_a_process_that_is_stopped_is_not_asked_and_told_so(hanging):
    process, ask = hanging("input()")
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert "is stopped (state T)" in ask().why
    process.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOWAIT)
    assert ask().why == ""


def test_a_signal_that_the_target_has_taken_is_not_sent_but_another_one(hanging):
    process, ask = hanging("input()", TAKEN.format(6))
    stack = ask()
    first, second = map(int, LOOK_SIGNALS[:2])
    assert stack.why == f"asked by signal {second}: its target has taken {first}"
    assert names(stack)[-1] == "hang"
    assert process.communicate(b"\n")[0] == b"goes on\n"


def test_a_target_that_has_taken_all_signals_is_not_asked(hanging):
    process, ask = hanging("input()", "; ".join(TAKEN.format(n) for n in (6, 7, 8)))
    stack = ask()
    assert "has taken all signals" in stack.why
    assert stack.threads == ()
    assert process.communicate(b"\n")[0] == b"goes on\n"


def test_a_signal_that_is_taken_meanwhile_brings_no_answer_which_is_told(hanging):
    process, ask = hanging(f"{TAKEN.format(6)}; print('has', flush=True); input()")
    assert process.stdout.readline() == b"has\n"
    assert "its target has set a handler of its own" in ask().why


def test_a_program_that_a_target_has_executed_is_not_asked(hanging):
    process, ask = hanging("os.execvp('sleep', ['sleep', '60'])")
    while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
        select.select([], [], [], 0.01)
    assert "its target has executed another program" in ask().why


def test_a_process_that_has_not_come_so_far_is_not_asked(hanging):
    out, into = os.pipe()
    os.set_blocking(out, False)
    process = SimpleNamespace(pid=os.getpid(), stacks_fd=out)
    worker = SimpleNamespace(
        process=process, mark="", job=SimpleNamespace(target=None), at=lambda: (BLAME, 0.0)
    )
    assert "is being made" in Look(worker).ask().why
    os.close(out)
    os.close(into)


def test_what_a_process_has_written_unasked_is_no_part_of_the_answer(hanging):
    unasked = "os.kill(os.getpid(), signal.SIGRTMAX - 6)"
    process, ask = hanging(f"{unasked}; print('.', flush=True); input()")
    assert process.stdout.readline() == b".\n"
    (main,) = ask().threads
    assert main.frames[-1][2] == "hang"


def test_of_a_command_its_programs_are_told(hanging):
    line = "os.spawnlp(os.P_WAIT, 'sleep', 'sleep', '60')"
    process, ask = hanging(line, target=Command(line="sleep 60", text="sleep 60"))
    while not (found := ask().programs):
        select.select([], [], [], 0.01)
    (program,) = found
    assert program.state in "SR"
    assert program.pid != process.pid
    os.kill(program.pid, signal.SIGKILL)  # it has the process' standard output


def test_who_does_not_answer_has_half_a_second():
    looks, look = Looks(), object()
    looks.add("a-1", look, 100.0)
    assert "a-1" in looks
    assert looks.next_check() == 100.5
    assert list(looks.due(100.4)) == []
    assert list(looks.due(100.5)) == [("a-1", look)]
    assert looks.remove("a-1") is look
    assert looks.remove("a-1") is None
    assert not looks.waits


OUTERMOST = '  File "<string>", line 1 in <module>\n'
MARK = f'0x00000000000000ff\n  File "/lib/spawn.py", line 122 in main\n{OUTERMOST}'
BEFORE = f"Thread 0x0000000000000001 (most recent call first):\n{OUTERMOST}\n"
HEADER = "Current thread 0x00000000000000ff (most recent call first):\n"


@pytest.mark.parametrize(
    ("dump", "whole"),
    [
        ("", False),
        (BEFORE, False),
        (BEFORE + HEADER, False),
        (BEFORE + HEADER + OUTERMOST, False),
        (BEFORE + HEADER + MARK.partition("\n")[2], True),
        (BEFORE + HEADER + MARK.partition("\n")[2][:-1], False),
        (BEFORE + HEADER + "  ...\n", True),
        (BEFORE[:-1] + "  ...\n", False),
        (BEFORE + "...\n", True),
        (BEFORE + HEADER + "  <no Python frame>\n", True),
        (BEFORE + HEADER + '  File "m.py", line 3 in f\n' * 99, False),
        (BEFORE + HEADER + '  File "m.py", line 3 in f\n' * 100, True),
    ],
)
def test_a_dump_is_whole_when_the_main_threads_outermost_frame_is_there(dump, whole):
    assert is_whole(dump, MARK) is whole
