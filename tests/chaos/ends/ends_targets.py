"""The functions of a run that is to be ended: with children, daemons, and all that can be held."""

import itertools
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_HELD = []
_GO = Path("go")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def count(stays):
    """A source of numbers and now and then a large item: for ever, or until it may end."""
    for number in itertools.count():
        time.sleep(0.0005)
        yield bytes(300_000) if number % 50 == 7 else number
        if number > 60 and not stays and _GO.exists():
            return


def take(item, how=""):
    """A stage; once it may end the run, `how` says by what."""
    if how and _GO.exists():
        globals()[f"_{how}"]()
    return item


def drop(item):
    """A sink."""


def _raise():
    raise ValueError("an item that cannot be worked on")


def _abort():
    os.abort()


def _eat():
    hoard = []
    while True:
        hoard.append(bytes(16 << 20))


def family(tag, stays, flees):
    """Hold what can be held, start what can be started, say so, and stay or return."""
    _hold(tag)
    subprocess.Popen(["sleep", "1000"])
    _daemon(lambda: os.execve("/bin/sleep", ["sleep", "1000", tag], {}))
    _daemon(_be_deaf)
    for _ in range(3 if flees else 0):
        _daemon(_flee)
    Path("family").touch()
    while stays:
        print("a line", flush=True)
        time.sleep(0.002)


def immune():
    """Leave a program behind that nobody of the run may kill."""
    subprocess.Popen(["./immune"])
    while not Path("is-immune").exists():
        time.sleep(0.01)


def stubborn():
    """Deaf to every request to stop."""
    Path("stubborn").touch()
    _be_deaf()


def _be_deaf():
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    while True:
        signal.pause()


def _flee():
    """Fork, exit, and go on as the child in a session of its own; for a minute at most."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.001)
        if os.fork():
            os._exit(0)
        os.setsid()


def _hold(tag):
    listening = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{tag}")
    abstract.listen()
    memory = os.memfd_create("held")
    os.truncate(memory, 1 << 16)
    unnamed = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)
    _HELD.extend([listening, abstract, *socket.socketpair(), *os.pipe()])
    _HELD.extend([memory, mmap.mmap(memory, 1 << 16), unnamed])


def _daemon(become):
    """A grandchild in a session of its own, with every descriptor that can be passed on."""
    sys.stdout.flush()
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            become()
    finally:
        os._exit(0)
