"""The creating process's side: it starts the broker and tells it of each new queue."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from multiprocessing import spawn
from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]

from orchestrator.features.standalone.protocol import NEW_QUEUE
from orchestrator.features.standalone.sizes import SizePage, new_page

__all__ = ["Home"]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from orchestrator.features.standalone.server import main; main(int(sys.argv[2]))"
)
_DETACH = '"$@" &'


class Home:
    """A broker started by this process.

    Every queue made here holds it; when the last is gone here its socket is closed, and the broker
    ends as soon as no other process holds a queue either.
    """

    def __init__(self) -> None:
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._lock = threading.Lock()
        self._queues = 0
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            _start(theirs.fileno())
        weakref.finalize(self, self._control.close).atexit = False

    def new_queue(self, maxsize: int) -> tuple[str, socket.socket, SizePage]:
        """A queue's name with the broker, its token and the page of its size."""
        with self._lock:
            self._queues += 1
            number = self._queues
        token, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            data = NEW_QUEUE.pack(number, max(0, maxsize))
            sizes = SizePage(new_page())
            socket.send_fds(self._control, [data], [theirs.fileno(), sizes.fd])
        return f"q{number}", token, sizes

    def drop(self) -> None:
        """Close this process's end."""
        self._control.close()


def _start(fd: int) -> None:
    """Start the broker as nobody's child, so that nobody has to reap it or trips over it."""
    path = [os.path.realpath(entry) for entry in sys.path]
    python = os.fsdecode(spawn.get_executable())
    command = [python, *_args_from_interpreter_flags(), "-c", _BOOT, json.dumps(path), str(fd)]
    subprocess.run(
        ["/bin/sh", "-c", _DETACH, "sh", *command, str(os.getpid())],
        check=True,
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
