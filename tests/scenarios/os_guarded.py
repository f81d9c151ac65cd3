"""Guarded runs for the tests: `python os_guarded.py FUNCTION ARG…` prints JSON lines on stdout."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from os_deadlines import receive
from os_orchestrators import start

from orchestrator.engine.node import guard
from orchestrator.engine.node.guard import on_guard_death, run_guarded, take_shelter
from orchestrator.engine.node.process import ProcessFactory
from orchestrator.kernel.descendants import Swept, descendants, look_up, sweep
from orchestrator.plan.model import StartMethod


def say(told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def guarded_exit(code):
    sys.exit(run_guarded(lambda _: int(code)))


def guarded_raise():
    def inner(_):
        raise RuntimeError("a bug")

    sys.exit(run_guarded(inner))


def guarded_tell():
    def inner(shelter):
        say(
            {
                "directory": shelter.directory,
                "directory_there": Path(shelter.directory).is_dir(),
                "layers": shelter.layers,
                "own_group": os.getpgrp() == os.getpid(),
            }
        )
        return 0

    sys.exit(run_guarded(inner))


def guarded_signals(signum):
    """Tell each signal `signum`; at SIGUSR2 tell how many there were, and end."""

    def inner(_):
        caught = {int(signum), signal.SIGUSR2}
        signal.pthread_sigmask(signal.SIG_BLOCK, caught)
        say("ready")
        count = 0
        while (came := signal.sigwait(caught)) != signal.SIGUSR2:
            say(came)
            count += 1
        say(f"count {count}")
        return 0

    sys.exit(run_guarded(inner))


def guarded_hang(*kill_within_s):
    """Be deaf to every request to end, with a worker, its child and a daemon."""
    if kill_within_s:
        guard.KILL_WITHIN_S = float(*kill_within_s)

    def inner(shelter):
        factory = ProcessFactory(directory=shelter.directory)
        workers = [start(factory, "with_child"), start(factory, "with_daemon")]
        started = [int(receive(worker.sock)) for worker in workers]
        family = [*(kin.pid for kin in descendants(os.getpid())), *started]
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        say({"family": [os.getpid(), *family], "directory": shelter.directory})
        while True:
            signal.sigwait({signal.SIGUSR1})

    sys.exit(run_guarded(inner))


def guarded_late(signum):
    """Get a signal when the orchestrator has ended and the guard is tidying up."""

    def late(**how):
        os.kill(os.getpid(), int(signum))
        return sweep(**how)

    guard.sweep = late
    sys.exit(run_guarded(lambda _: 3))


def guarded_last(signum):
    """Get a signal when nothing is left but to exit."""
    code = run_guarded(lambda _: 3)
    atexit.register(os.kill, os.getpid(), int(signum))
    sys.exit(code)


def guarded_nohup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def inner(_):
        signal.signal(signal.SIGHUP, lambda *_: os._exit(9))
        say("ready")
        signal.pause()
        return 0

    sys.exit(run_guarded(inner))


def guarded_family(words=None):
    """Start workers by each method, with a child or a daemon each, and wait for ever."""

    def inner(shelter):
        if words is not None:
            on_guard_death(shelter, lambda: Path(words).write_text("the guard died"))
        factory = ProcessFactory(directory=shelter.directory)
        workers = [
            start(factory, main, method)
            for method in StartMethod
            for main in ("with_child", "with_daemon")
        ]
        started = [int(receive(worker.sock)) for worker in workers]
        say(
            {
                "orchestrator": os.getpid(),
                "directory": shelter.directory,
                "workers": [worker.pid for worker in workers],
                "daemons": started,
                "family": [*(kin.pid for kin in descendants(os.getpid())), *started],
            }
        )
        while True:
            signal.pause()

    sys.exit(run_guarded(inner))


def guarded_survivor(code, told):
    """End with a code while somebody cannot be killed, of whom the orchestrator has told or not."""
    survivor = look_up(os.getppid())
    say(survivor.pid)

    def unable(*, spare, **_):
        return Swept(survived=() if survivor.pid in spare else (survivor,))

    def inner(shelter):
        if told:
            shelter.told.add([survivor])
        return int(code)

    guard.sweep = unable
    sys.exit(run_guarded(inner))


def guarded_low_numbers():
    def inner(_):
        first = os.open(os.devnull, os.O_RDONLY)
        return 0 if first > 2 else 1

    sys.exit(run_guarded(inner))


def shelter_of_the_dead():
    """Take shelter with a parent that is gone, and a daemon-to-be as a child."""
    child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    take_shelter(gone, tempfile.mkdtemp(prefix="mporch-test-"), guarded=True)


def command(function, *args):
    """Return the command that runs a function of this file in a process of its own."""
    return [sys.executable, __file__, function, *args]


if __name__ == "__main__":
    # As from a terminal, whatever the tests were started with: a shell's `&` ignores both.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    globals()[sys.argv[1]](*sys.argv[2:])
