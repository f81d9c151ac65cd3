"""Engine: the seam between a run and its workers; what it is asked, and what it tells.

The conductor asks by methods, none of which waits but `wait`, `pause` and `close`, and is told by
happenings, in their order; some of them are the core's own events. An engine knows neither the run
nor its plan. `local` hosts a node in this process, `agents` in programs of their own; a happening
reads the same from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

import msgspec

from orchestrator.core.protocol.events import (
    AnyBlob,
    Blame,
    Malformed,
    Orphaned,
    StartFailed,
    Unstoppable,
)
from orchestrator.core.protocol.messages import Failure, FromWorker, ToWorker
from orchestrator.core.protocol.notifications import Notification, Progress, Survivor
from orchestrator.core.samples import Figures, Service
from orchestrator.core.stacks import WorkerStack
from orchestrator.ipc.order import Order

__all__ = [
    "Died",
    "Engine",
    "Figures",
    "Happening",
    "Malformed",
    "Overdue",
    "Readable",
    "Received",
    "Signalled",
    "StackTaken",
    "StartFailed",
    "Started",
    "Told",
    "Unstoppable",
    "Waits",
]


class _Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all happenings. `worker` names a life: a name is given again only after its death."""


class Started(_Happening, frozen=True, kw_only=True):
    """The worker is there: its process exists, and what was sent before is on its way to it."""

    worker: str
    pid: int


class Received(_Happening, frozen=True, kw_only=True):
    """Frames of the worker, well formed, in the order in which it has sent them."""

    worker: str
    frames: Sequence[tuple[FromWorker, tuple[AnyBlob, ...]]]


class Died(_Happening, frozen=True, kw_only=True):
    """The worker is dead, and this is the last that is heard of its life.

    All that it had sent and printed has been told before, and what it left in its process group is
    killed. `exit_code` is negative for a signal, None if it cannot be known. `blame` is what its
    progress cell says, or what it was killed for (`stack`). `failure` is where it crashed or hung.
    `orphaned`: what it depends on and has died with; then `failure` says why, if that is known.
    `service`: how long its items took.
    """

    worker: str
    exit_code: int | None
    blame: Blame = Blame()
    failure: Failure | None = None
    orphaned: Orphaned | None = None
    service: Service = Service()


class Overdue(_Happening, frozen=True, kw_only=True):
    """The worker is at the item of `blame` for longer than its order allows; told once a life."""

    worker: str
    blame: Blame


class Told(_Happening, frozen=True, kw_only=True):
    """What workers have printed or logged, and what the engine itself has to say."""

    notifications: Sequence[Notification | Progress]


class Signalled(_Happening, frozen=True, kw_only=True):
    """SIGINT, SIGTERM or SIGHUP has come to this process."""

    signum: int


class Readable(_Happening, frozen=True, kw_only=True):
    """A watched descriptor is ready; told in each `wait` in which it is."""

    token: object


class Waits(_Happening, frozen=True, kw_only=True):
    """The worker has no place yet; `why` is for the user. Told when that changes."""

    worker: str
    why: str


class StackTaken(_Happening, frozen=True, kw_only=True):
    """The answer to `look`."""

    worker: str
    stack: WorkerStack


Happening: TypeAlias = (
    Started
    | StartFailed
    | Received
    | Malformed
    | Died
    | Overdue
    | StackTaken
    | Told
    | Unstoppable
    | Signalled
    | Readable
    | Waits
)


class Engine(Protocol):
    """Where workers live. One thread calls it, this process' main thread.

    A method that names a worker which is dead, or was never started, does nothing.
    A turn of the conductor is: `wait` and handle what it returns; `settle` and handle that, until
    it returns nothing; keep what the core wants kept; `flush`.
    """

    def open(self) -> AbstractContextManager[None]:
        """Begin: while entered, signals of this process are happenings. Called once, and first."""

    def now(self) -> float:
        """Return monotonic seconds, without stretches in which this process was stopped."""

    def start(self, worker: str, job: str, order: Order) -> None:
        """Have a worker made as its order says; answered by Started or StartFailed, once.

        A start that was disconnected before anybody began with it is not answered.
        """

    def send(self, worker: str, message: ToWorker, blobs: tuple[AnyBlob, ...]) -> None:
        """Queue a frame for a worker, also for one that was started and is not there yet.

        Nothing leaves before `flush`: what the core has changed must be kept before anybody knows.
        """

    def signal(self, worker: str, signum: int) -> None:
        """Signal the worker's process, not its children."""

    def kill(self, worker: str) -> None:
        """SIGKILL to the worker and all that is in its process group."""

    def stack(self, worker: str) -> None:
        """Kill the worker; ask it first where it hangs, which is the failure of its `Died`.

        If it is `Overdue` at an item, `Died` has that as its blame, whatever the worker begins
        meanwhile. One that cannot be asked, or does not answer in time, is killed without.
        """

    def look(self, worker: str) -> None:
        """Take the worker's stack, and have it go on; answered by StackTaken, or by its end.

        At most half a second later, wherever it hangs. Who is asked again meanwhile answers once.
        """

    def disconnect(self, worker: str) -> None:
        """Fence the worker: nothing is received of it any more, nothing is sent to it.

        Its process may live on, and its death is still told.
        """

    def doing(self, worker: str) -> Blame:
        """Return what its progress cell said when that was last known; idle if it never was."""

    def measure(self, worker: str) -> Figures | None:
        """Return its last known figures, made on its machine; None if there are none yet."""

    def hold_output(self, *, held: bool) -> None:
        """Read no output of targets for now, or read it again: they wait, in full pipes."""

    def watch(self, fd: int, token: object, *, for_write: bool = False) -> None:
        """Tell `Readable(token)` while the descriptor can be read (or, if asked so, written)."""

    def unwatch(self, fd: int) -> None:
        """Watch a descriptor no longer; it is still open."""

    def adopt(self, connection: int, worker: str) -> None:
        """Take a connected stream socket, by its descriptor, as the channel of a worker.

        The worker was started and has no channel yet; of another the connection is closed. The
        engine owns the descriptor from here on.
        """

    def wait(self, timeout_s: float | None) -> Sequence[Happening]:
        """Wait until something happens, for at most so long; None: without end.

        Frames come first, output later: a worker that prints much waits, not the queues.
        May return early, and with nothing.
        """

    def settle(self) -> Sequence[Happening]:
        """Return what has become of this turn's signals and kills, as far as that is known.

        Called before anything is sent: what dead workers left in their groups may be at an item
        that is about to be given to another. What is not known yet comes with a later `wait`.
        """

    def flush(self) -> None:
        """Send what is queued, as far as that goes without waiting; the rest goes in later ones."""

    def pause(self, seconds: float) -> bool:
        """Wait that long for a signal, and for nothing else; whether one asks the run to end."""

    def close(self, within_s: float) -> Sequence[Survivor]:
        """End everybody, and all that they have left, within so many seconds.

        Returns those that could not be killed. Called once, last; nothing happens any more.
        """
