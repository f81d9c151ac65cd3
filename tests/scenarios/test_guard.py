"""Guard and orchestrator as real processes: whichever is killed, nothing is left."""

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from life_runs import until
from os_deadlines import DEADLINE_S, all_ended, pidfds, wait_readable
from os_guarded import command
from os_orchestrators import environment

from orchestrator.engine.node.guard import KILL_WITHIN_S
from orchestrator.kernel.descendants import children, look_up

GONE_WITHIN_S = 2.0
BETWEEN_PRESSES_S = 0.3


class Run:
    """A guarded run in a process of its own that tells of itself in one line of JSON."""

    def __init__(self, function, *args):
        self.guard = subprocess.Popen(
            command(function, *args),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def line(self):
        """Return the next line the orchestrator wrote."""
        wait_readable(self.guard.stdout)
        line = self.guard.stdout.readline()
        assert line, self.guard.stderr.read().decode()
        return json.loads(line)

    def ask(self, signum):
        """Send the guard a signal; return when it has taken it, so that the next is another one."""
        self.guard.send_signal(signum)
        until(lambda: signum not in pending(self.guard.pid), "a guard that takes its signal")

    def end(self):
        """Return (exit code, stderr) once the guard has ended."""
        _, errors = self.guard.communicate(timeout=20)
        return self.guard.returncode, errors.decode()


def pending(pid):
    """The signals that a process has not taken yet; none of one that has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    bits = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return {signum for signum in signal.valid_signals() if bits >> (signum - 1) & 1}


@pytest.fixture
def run():
    runs = []

    def begin(*args):
        runs.append(Run(*args))
        return runs[-1]

    yield begin
    for one in runs:
        if one.guard.returncode is None:
            one.guard.kill()
        one.guard.communicate(timeout=20)


@pytest.mark.parametrize("code", [0, 3, 70])
def test_the_guard_ends_with_the_orchestrators_exit_code(run, code):
    assert run("guarded_exit", str(code)).end() == (code, "")


def test_an_exception_of_the_orchestrator_is_a_bug_and_runs_nothing_twice(run):
    ended = run("guarded_raise")
    code, errors = ended.end()
    assert code == 70
    assert errors.count("RuntimeError: a bug") == 1


def test_the_directory_is_there_during_the_run_and_gone_after_it(run):
    one = run("guarded_tell")
    told = one.line()
    assert told["directory_there"]
    assert one.end()[0] == 0
    assert not Path(told["directory"]).exists()


def test_the_orchestrator_is_in_its_own_group_and_names_its_protection(run):
    told = run("guarded_tell").line()
    assert told["own_group"]
    assert told["layers"] == ["guard", "subreaper", "pdeathsig", "pidfd"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH])
def test_a_signal_to_the_guard_is_one_signal_to_the_orchestrator(run, signum):
    one = run("guarded_signals", str(int(signum)))
    assert one.line() == "ready"
    for _ in range(3):
        os.killpg(one.guard.pid, signum)  # what a terminal's Ctrl-C does
        assert one.line() == signum
    one.guard.send_signal(signal.SIGUSR2)
    assert one.line() == "count 3"
    assert one.end() == (0, "")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_that_comes_twice_at_once_is_forwarded_once(run, signum):
    one = run("guarded_signals", str(int(signum)))
    assert one.line() == "ready"
    for _ in range(3):
        one.guard.send_signal(signum)
    assert one.line() == signum
    one.guard.send_signal(signum)
    one.guard.send_signal(signal.SIGUSR2)
    assert one.line() == "count 1"
    assert one.end() == (0, "")


def test_three_ctrl_c_end_an_orchestrator_that_hangs_and_all_it_has(run):
    one = run("guarded_hang", "0.2")
    told = one.line()
    with pidfds(*told["family"]) as fds:
        for _ in range(3):
            assert not all_ended(fds[:1], 0)
            one.ask(signal.SIGINT)
        assert all_ended(fds, DEADLINE_S)
    hung(one, told, 130)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_whoever_asks_on_and_on_ends_an_orchestrator_that_hangs_in_no_time(run, signum, code):
    one = run("guarded_hang")
    told = one.line()
    began = time.monotonic()
    with pidfds(*told["family"]) as fds:
        while not all_ended(fds, BETWEEN_PRESSES_S):
            one.ask(signum)
    assert time.monotonic() - began < KILL_WITHIN_S
    hung(one, told, code)


def hung(one, told, code):
    """The run has ended as that of an orchestrator that was told to kill, and did not."""
    exit_code, errors = one.end()
    assert exit_code == code
    assert errors.startswith("mporch: the orchestrator did not carry out the order to kill, ")
    assert errors.count("\n") == 1
    assert not Path(told["directory"]).exists()


@pytest.mark.parametrize("when", ["guarded_late", "guarded_last"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGTSTP])
def test_a_signal_that_comes_after_the_end_does_not_change_the_exit_code(run, signum, when):
    assert run(when, str(int(signum))).end() == (3, "")


def test_what_nohup_ignores_stays_ignored(run):
    one = run("guarded_nohup")
    assert one.line() == "ready"
    one.guard.send_signal(signal.SIGHUP)
    one.guard.send_signal(signal.SIGTERM)
    assert one.end() == (128 + signal.SIGTERM, "")


def test_a_ctrl_z_stops_both_and_a_continue_continues_both(run):
    one = run("guarded_signals", str(int(signal.SIGUSR1)))
    assert one.line() == "ready"
    one.guard.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(one.guard.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    (orchestrator,) = children(one.guard.pid)
    assert "State:\tT" in Path(f"/proc/{orchestrator.pid}/status").read_text()
    os.killpg(one.guard.pid, signal.SIGCONT)
    one.guard.send_signal(signal.SIGUSR1)
    assert one.line() == signal.SIGUSR1
    one.guard.send_signal(signal.SIGUSR2)
    assert one.line() == "count 1"
    assert one.end() == (0, "")


def test_when_the_orchestrator_is_killed_nothing_is_left_and_one_line_says_so(run):
    one = run("guarded_family")
    told = one.line()
    with pidfds(*told["family"], told["orchestrator"]) as fds:
        os.kill(told["orchestrator"], signal.SIGKILL)
        assert all_ended(fds, GONE_WITHIN_S)
    code, errors = one.end()
    assert code == 128 + signal.SIGKILL
    assert errors.startswith("mporch: the orchestrator was ended by SIGKILL (out of memory?); ")
    assert errors.count("\n") == 1
    assert not Path(told["directory"]).exists()


def test_on_a_terminal_the_line_of_an_orchestrator_that_was_killed_begins_on_its_own():
    master, slave = pty.openpty()
    guard = subprocess.Popen(
        command("guarded_family"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    told = json.loads(guard.stdout.readline())
    os.kill(told["orchestrator"], signal.SIGKILL)
    guard.communicate(timeout=20)
    assert os.read(master, 4096).startswith(b"\r\nmporch: the orchestrator was ended by SIGKILL")
    os.close(master)


def test_when_the_guard_is_killed_nothing_is_left_and_last_words_are_said(run, tmp_path):
    words = tmp_path / "words"
    one = run("guarded_family", str(words))
    told = one.line()
    with pidfds(*told["family"], told["orchestrator"]) as fds:
        one.guard.kill()
        assert all_ended(fds, GONE_WITHIN_S)
    one.end()
    assert words.read_text() == "the guard died"
    assert not Path(told["directory"]).exists()


def test_when_both_are_killed_at_once_no_worker_is_left(run):
    one = run("guarded_family")
    told = one.line()
    with pidfds(*told["workers"], told["orchestrator"]) as fds, pidfds(*told["daemons"]) as daemons:
        os.kill(one.guard.pid, signal.SIGSTOP)  # so that neither can act on the other's death
        os.kill(told["orchestrator"], signal.SIGSTOP)
        one.guard.kill()
        os.kill(told["orchestrator"], signal.SIGKILL)
        assert all_ended(fds, GONE_WITHIN_S)
        for fd in daemons:  # what nobody could sweep, this test does
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    shutil.rmtree(told["directory"])


def test_a_closed_stdout_does_not_put_sockets_on_low_numbers():
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command("guarded_low_numbers")],
        env=environment(),
        stderr=subprocess.PIPE,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_orchestrator_knows_a_guard_that_died_before_it_could_be_told():
    """The parent death signal cannot come any more: the parent's pid has to be compared."""
    done = subprocess.run(
        command("shelter_of_the_dead"),
        env=environment(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGKILL
    assert look_up(int(done.stdout)) is None


@pytest.mark.parametrize(("code", "ends"), [(0, 1), (3, 1), (1, 1), (74, 74), (124, 124)])
def test_the_guard_tells_who_could_not_be_killed_if_the_orchestrator_has_not(run, code, ends):
    one = run("guarded_survivor", str(code), "")
    pid = one.line()
    ended, errors = one.end()
    assert ended == ends
    assert errors.startswith("mporch: could not be killed, and outlive the run: ")
    assert f"(pid {pid}, of " in errors
    assert errors.count("\n") == 1


def test_whom_the_orchestrator_has_told_of_the_guard_does_not_tell_again(run):
    one = run("guarded_survivor", "0", "told")
    one.line()
    assert one.end() == (0, "")
