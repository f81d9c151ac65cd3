"""A process's hold on a queue, and all there is of that kind in this process.

A process may hold queues of several brokers: its own, which it starts and tells of each new queue,
and those of the processes it comes from. It has one session with each. After a fork the child has
nothing but the descriptors of the queues themselves: it closes its parent's connections and starts
afresh.
"""

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

from orchestrator.features.standalone.pages import NEW_QUEUE, SizePage, new_page
from orchestrator.features.standalone.session import Handle, Session, Use

__all__ = ["Holding", "Home", "here", "new_queue"]


class _Process:
    """What this process has: its sessions by home, and its own home while a queue is of it.

    The lock is taken last and never held while waiting for another one. `era` is another object in
    every process: asking for it is no system call.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Have nothing."""
        self.era = object()
        self.lock = threading.Lock()
        self.sessions: dict[str, Session] = {}
        self.homes: weakref.WeakSet[Home] = weakref.WeakSet()

    def begin_anew(self) -> None:
        """Called in a forked child: other threads' locks and its parent's streams are not its."""
        sessions, homes = list(self.sessions.values()), list(self.homes)
        self.begin()
        for session in sessions:
            session.drop()
        for home in homes:
            home.drop()

    def home(self) -> Home:
        with self.lock:
            for home in self.homes:
                return home
            home = Home()
            self.homes.add(home)
            return home

    def session(self, home: str, token: socket.socket) -> Session:
        with self.lock:
            session = self.sessions.get(home)
            if session is None:
                session = Session(token, lambda ended: self.forget(home, ended))
                self.sessions[home] = session
            return session

    def forget(self, home: str, session: Session) -> None:
        with self.lock:
            if self.sessions.get(home) is session:
                del self.sessions[home]


here = _Process()

os.register_at_fork(after_in_child=here.begin_anew)


class Holding:
    """One queue held by this process, until `let_go`.

    `home` names its broker, `name` it there; `maxsize` is its bound in items, 0 for none. `sizes`
    is the page of its size. `own` is the home if this process made the queue.
    """

    def __init__(
        self,
        home: str,
        name: str,
        maxsize: int,
        token: socket.socket,
        sizes: SizePage,
        *,
        own: Home | None = None,
    ) -> None:
        self.home = home
        self.name = name
        self.maxsize = maxsize
        self.token = token
        self.sizes = sizes
        self._own = own
        self._uses: dict[int, Use] = {}

    def attach(self) -> Handle:
        """The handle of this process; makes its session if there is none.

        Raises BrokerGoneError.
        """
        pid = os.getpid()
        use = None
        while use is None:  # None: the session has ended just now
            use = here.session(self.home, self.token).attach(
                self.name, self.maxsize, self.token, self.sizes
            )
        first = self._uses.setdefault(pid, use)
        if first is not use:  # another thread was quicker
            use.session.detach(use)
        return first.handle

    def watch(self) -> int:
        """The descriptor of this process that tells whether the queue has items."""
        use = self._uses[os.getpid()]
        return use.session.watch(use, self.token)

    def let_go(self) -> None:
        """The queue is not used here any more. Takes no lock: may run at any time."""
        use = self._uses.get(os.getpid())
        if use is None:
            self.token.close()
            self.sizes.close()
        else:
            use.token = self.token
            use.session.detach(use)


def new_queue(maxsize: int) -> Holding:
    """A new queue, held by this process; starts the broker if there is none."""
    home = here.home()
    name, token, sizes = home.new_queue(maxsize)
    return Holding(home.name, name, maxsize, token, sizes, own=home)


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
