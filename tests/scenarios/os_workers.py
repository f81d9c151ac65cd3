"""What the workers of test_process, test_descendants and test_guard run: main(payload, …)."""

import atexit
import contextlib
import ctypes
import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path


def report(payload, channel, log, cell):
    """Send a description of this process's surroundings over the channel."""
    described = {
        "payload": payload.decode(),
        "name": multiprocessing.current_process().name,
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "own_group": os.getpgrp() == os.getpid(),
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "path": sys.path,
        "modules": sorted(sys.modules),
        "files": _open_files(),
        "ours": [channel.fileno(), log.fileno()],
        "blocking": [channel.gettimeout(), log.gettimeout()],
        "inheritable": [fd for fd in _open_files() if int(fd) > 2 and os.get_inheritable(int(fd))],
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "excepthook": f"{sys.excepthook.__name__} of {sys.excepthook.__module__}",
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "main_file": getattr(sys.modules["__main__"], "__file__", None),
    }
    cell[:4] = b"seen"
    log.send(b"a record")
    channel.sendall(json.dumps(described).encode())


def _open_files():
    files = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            files[path.name] = str(path.readlink())
    return files


def leave(payload, *_):
    """End as the payload says: with an exit code, or of a signal."""
    how = int(payload)
    if how < 0:
        os.kill(os.getpid(), -how)
    sys.exit(how)


def end_as_python_does(payload, *_):
    """End as a worker of mporch does, with things of its own to do."""
    from orchestrator.worker.process import Exit  # noqa: PLC0415 -- others need less

    end = Exit()
    folder = Path(payload.decode())
    atexit.register((folder / "own").touch)
    rows = (folder / "theirs").open("w")
    rows.write("one\n")
    end.run_functions()
    end.drop_modules()


def fail(*_):
    raise ValueError("the target's own fault")


def last_words(*_):
    """Print from Python and from C, then die at once."""
    print("from Python: é")
    print("from Python's stderr", file=sys.stderr)
    ctypes.CDLL(None).puts(b"from C")
    os.kill(os.getpid(), signal.SIGKILL)


def crash(*_):
    ctypes.string_at(0)


def wait(payload, channel, log, cell):
    """Say that it runs, then wait for a byte that never comes."""
    channel.sendall(b"running")
    channel.recv(1)
    signal.pause()


def close_low_descriptors(payload, channel, log, cell):
    """Do what a target may: close 1 and 2 and open files, then use the channel."""
    os.closerange(0, 10)
    for _ in range(5):
        os.open(__file__, os.O_RDONLY)
    cell[:4] = b"seen"
    channel.sendall(b"still there")


def with_child(payload, channel, log, cell):
    """Start a child in the same process group, tell its pid; end, if the payload says so."""
    child = subprocess.Popen(["sleep", "1000"])
    channel.sendall(str(child.pid).encode())
    if payload != b"end":
        signal.pause()


def with_daemon(payload, channel, log, cell):
    """Start a daemon (two forks and a session of its own), tell its pid; go on."""
    daemonise(channel)
    signal.pause()


def daemonise(tell: socket.socket):
    """Leave a daemon behind that ignores whatever can be ignored; send its pid over `tell`.

    By then the process between the two is gone, so that nobody counts it among the family.
    """
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)
            os.write(write, str(os.getpid()).encode())
            signal.pause()
        os._exit(0)
    os.wait()
    tell.sendall(os.read(read, 20))


def limit(payload, channel, *_):
    """Tell the soft limit of descriptors."""
    channel.sendall(str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]).encode())
