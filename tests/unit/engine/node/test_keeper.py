"""The keeper: it ends as the call in its child does, and leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CALL = """\
import os, signal, subprocess, sys
from orchestrator.engine.node.keeper import keep

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

def daemon():
    left = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
    print(left.pid, flush=True)

def call():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    daemon()
    {end}

keep(int(sys.argv[1]), call)
"""
Kept = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def kept() -> Kept:
    def start(end: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CALL.replace("{end}", end), str(os.getpid())]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def pidfd_of_its_daemon(child: "subprocess.Popen[str]") -> int:
    assert child.stdout is not None
    return os.pidfd_open(int(child.stdout.readline()))


def is_dead(pidfd: int) -> bool:
    readable, _, _ = select.select([pidfd], [], [], 0)
    os.close(pidfd)
    return bool(readable)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("return 0", 0),
        ("return 7", 7),
        ("sys.exit('words')", 1),
        ("os._exit(9)", 9),
        ("raise ValueError", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), 2)", -signal.SIGINT),
    ],
)
def test_it_ends_as_the_call_did_and_a_daemon_is_dead_by_then(
    kept: Kept, end: str, code: int
) -> None:
    with kept(f"sys.stdin.readline(); {end}") as child:
        daemon = pidfd_of_its_daemon(child)
        child.communicate("go\n", timeout=30)
    assert child.returncode == code
    assert is_dead(daemon)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_whoever_ends_it_ends_the_call_and_all_that_it_has_started(
    kept: Kept, signum: signal.Signals
) -> None:
    with kept("signal.pause()") as child:
        daemon = pidfd_of_its_daemon(child)
        child.send_signal(signum)
        child.communicate(timeout=30)
    assert child.returncode == 128 + signum
    assert is_dead(daemon)


def test_ctrl_c_is_the_calls(kept: Kept) -> None:
    with kept("return signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1 and 5") as child:
        daemon = pidfd_of_its_daemon(child)
        child.send_signal(signal.SIGINT)  # of a terminal it comes to the call as well
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        (call,) = map(int, children.read_text().split())
        os.kill(call, signal.SIGUSR1)
        child.communicate(timeout=30)
    assert child.returncode == 5
    assert is_dead(daemon)


def test_the_death_of_its_parent_ends_everything() -> None:
    program = CALL.replace("{end}", "signal.pause()")
    parent = (
        "import subprocess, sys, os;"
        f"child = subprocess.Popen([sys.executable, '-c', {program!r}, str(os.getpid())]);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        daemon = pidfd_of_its_daemon(process)
        process.kill()
        readable, _, _ = select.select([daemon], [], [], 30)
        os.close(daemon)
    assert readable


def test_what_could_not_be_killed_is_told_by_its_name_and_user() -> None:
    program = """\
import os, pwd, sys
from orchestrator.engine.node import keeper
from orchestrator.kernel.descendants import Swept, look_up

keeper.sweep = lambda **how: Swept(survived=(look_up(os.getpid()),))
print(os.getpid(), look_up(os.getpid()).name, pwd.getpwuid(os.getuid()).pw_name, flush=True)
keeper.keep(int(sys.argv[1]), lambda: 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(os.getpid())],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    pid, name, user = done.stdout.split()
    told = f"mporch: left behind, and could not be killed: {name} (pid {pid}, of {user})\n"
    assert (done.returncode, done.stderr) == (0, told)
