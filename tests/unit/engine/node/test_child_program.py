"""Child programs are asked, heard and ended; what they start does not outlive them."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from orchestrator.engine.node.child_program import LineProgram, ask_in_foreground, ask_once

PROGRAM = """
import os, signal, subprocess, sys
from orchestrator.engine.node.keeper import answer_once

def main(request, *files):
    exec(request)
    return 0

answer_once(main)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a program that does what its request says."""
    (tmp_path / "asked_program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return "asked_program"


def test_a_program_answers_in_its_files_and_what_it_prints_is_kept(module):
    request = b"os.write(files[0], b'one'); os.write(files[1], b'two'); print('said')"
    found = ask_once(module, request, timeout_s=30, answers=2)
    assert found.files == (b"one", b"two")
    assert (found.output, found.exit_code, found.in_time) == (b"said\n", 0, True)


def test_of_standard_error_alone_the_last_is_kept(module):
    request = b"print('out'); sys.stderr.write('x' * 100_000 + 'end')"
    found = ask_once(module, request, timeout_s=30, errors_only=True)
    assert len(found.output) == 64 * 1024
    assert found.output.endswith(b"xend")


def test_a_large_request_comes_whole_and_nothing_that_it_starts_has_its_files(module):
    code = (
        b"os.write(files[0], str(len(request)).encode());"
        b"done = subprocess.run(['sh', '-c', f'echo no >&{files[0]}'], stderr=subprocess.DEVNULL)#"
    )
    request = code + b" " * 10_000_000
    found = ask_once(module, request, timeout_s=30)
    assert found.files == (str(len(request)).encode(),)


def test_a_death_and_its_signal_are_told(module):
    found = ask_once(module, b"os.kill(os.getpid(), signal.SIGSEGV)", timeout_s=30)
    assert (found.exit_code, found.files, found.in_time) == (-signal.SIGSEGV, (b"",), True)


def test_who_takes_too_long_is_ended_with_all_that_it_has_started(module):
    request = (
        b"left = subprocess.Popen(['sleep', '1000'], start_new_session=True);"
        b"os.write(files[0], str(left.pid).encode()); signal.pause()"
    )
    found = ask_once(module, request, timeout_s=2, session=True)
    assert not found.in_time
    with pytest.raises(ProcessLookupError):
        os.kill(int(found.files[0]), 0)


def test_in_the_foreground_a_program_has_these_streams(module, capfd):
    found = ask_in_foreground(module, b"print('here', flush=True); os._exit(3)")
    assert (found.files, found.exit_code) == ((b"",), 3)
    assert capfd.readouterr().out == "here\n"


ECHO = (
    "import sys, os, time\n"
    "for line in sys.stdin:\n"
    "    if line == 'die\\n': os._exit(1)\n"
    "    if line == 'hang\\n': time.sleep(1000)\n"
    "    print(line.upper(), end='', flush=True)\n"
)


@pytest.fixture
def echo():
    program = LineProgram([sys.executable, "-I", "-S", "-c", ECHO], timeout_s=30)
    yield program
    program.end()


def test_each_line_is_answered_in_turn(echo):
    assert [echo.ask(line) for line in (b"a", b"b" * 200_000)] == [b"A", b"B" * 200_000]


def test_after_a_deadly_question_the_next_one_has_a_new_program(echo):
    assert (echo.ask(b"die"), echo.ask(b"a")) == (None, b"A")


def test_who_does_not_answer_in_time_is_ended():
    program = LineProgram([sys.executable, "-I", "-S", "-c", ECHO], timeout_s=0.5)
    try:
        assert program.ask(b"hang") is None
    finally:
        program.end()
