"""Node: all of a run that must be on its workers' machine, without their channels.

It makes processes, watches them, reads what they print and log, kills them and what they leave.
Its host, `engine/local` or a program of `engine/agents`, waits for `fileno` and calls `step`.
The host's process is a subreaper, and the main thread makes the node and calls it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence

from orchestrator.core.protocol.events import Blame
from orchestrator.engine.engine import Figures, Happening
from orchestrator.engine.node.clock import LoopClock
from orchestrator.engine.node.descendants import Kin
from orchestrator.ipc.order import Order

__all__ = ["Dial", "Node"]

Dial = Callable[[str], socket.socket]
"""Opens the worker's end of the channel of a worker of that name, when its turn has come.

A blocking stream socket: half of a pair, or a TCP connection that has proved its key. It may raise
OSError, which is the worker's StartFailed. The node closes it once the worker has it: a host that
must shut the connection at a death keeps a duplicate."""


class Node:
    """The workers of a run on this machine.

    `directory` is for the sockets of multiprocessing, its path short. `hash_seed` is the
    PYTHONHASHSEED of all workers. `workers` is how many there may be at a time: raises UsageError
    if they need more descriptors than the system allows. `clock` is its host's.
    """

    def __init__(
        self, dial: Dial, clock: LoopClock, *, directory: str, hash_seed: str, workers: int
    ) -> None:
        raise NotImplementedError

    def fileno(self) -> int:
        """Return a descriptor (epoll) that is readable when `step` has something to do."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """Return when `step` is to be called at the latest, by the host's clock; None: never."""
        raise NotImplementedError

    def step(self) -> Sequence[Happening]:
        """Do what is due, without waiting; return what has happened.

        Started, StartFailed, Died, Overdue and Told. At a Died all that the worker had printed has
        been told, and its group is killed, but its channel is the host's: that must be read to its
        end first (`local`: what is there; `agents`: shut the writing side of the duplicate).
        """
        raise NotImplementedError

    def start(self, worker: str, order: Order) -> None:
        """Make a worker when its turn has come: one a step, in the order asked for."""
        raise NotImplementedError

    def drop(self, worker: str) -> None:
        """Forget a start that was not begun; nothing happens if it was, or to a worker."""
        raise NotImplementedError

    def signal(self, worker: str, signum: int) -> None:
        """Signal its process; that this is refused is Unstoppable, in the next `settle`."""
        raise NotImplementedError

    def kill(self, worker: str) -> None:
        """SIGKILL to the worker and its process group."""
        raise NotImplementedError

    def stack(self, worker: str) -> None:
        """Kill it for its overdue item, having it write its stack first; see `Engine.stack`."""
        raise NotImplementedError

    def doing(self, worker: str) -> Blame:
        """Return what its progress cell says now."""
        raise NotImplementedError

    def measure(self, worker: str) -> Figures | None:
        """Return its figures of now; None if it is not there."""
        raise NotImplementedError

    def hold_output(self, *, held: bool) -> None:
        """Read no capture pipes for now, or read them again."""
        raise NotImplementedError

    def child_died(self) -> None:
        """The host has had SIGCHLD: adopted strangers are reaped in the next `step`."""
        raise NotImplementedError

    def settle(self) -> Sequence[Happening]:
        """Kill what dead workers have left; return Unstoppable and Told. `step` ends with it."""
        raise NotImplementedError

    def close(self, within_s: float) -> Collection[Kin]:
        """End everybody and sweep; return who could not be killed."""
        raise NotImplementedError
