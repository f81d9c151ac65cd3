"""Commands: what the conductor is to do, in the imperative. The core's only way to act.

Source: docs/semantics.md, *Commands*.
"""

from __future__ import annotations

import enum

import msgspec

from orchestrator.core.protocol.events import AnyBlob
from orchestrator.core.protocol.messages import ToWorker
from orchestrator.core.protocol.notifications import Notification

__all__ = [
    "AT_WORK",
    "Command",
    "Disconnect",
    "Finish",
    "KillWorker",
    "Notify",
    "Send",
    "SignalWorker",
    "StartWorker",
    "StopReason",
]


class StopReason(enum.Enum):
    """Why a worker is stopped."""

    RUN_TIMEOUT = "timeouts.run"
    START_TIMEOUT = "timeouts.start"
    ITEM_TIMEOUT = "timeouts.item"
    JOIN_TIMEOUT = "join"
    GRACE_OVER = "grace is over"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"
    FAILURE = "a job failed"
    STALLED = "the run stalled"
    PLAN_TIMEOUT = "timeout of the run"
    NOT_NEEDED = "the others are done"
    PROTOCOL = "broke the protocol"
    LINGERED = "did not exit after its last message"


AT_WORK = frozenset({StopReason.ITEM_TIMEOUT, StopReason.PROTOCOL})
"""Reasons to kill a worker that are its own doing: it dies at work, of the item it is at."""


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all commands."""


class Send(_Command, frozen=True, kw_only=True):
    """Write one frame to a worker."""

    worker: str
    message: ToWorker
    blobs: tuple[AnyBlob, ...] = ()


class StartWorker(_Command, frozen=True, kw_only=True):
    """Make the worker's process; `index` counts the job's workers from 1."""

    worker: str
    job: str
    index: int


class SignalWorker(_Command, frozen=True, kw_only=True):
    """Send a signal to the worker's process."""

    worker: str
    signal: int
    reason: StopReason


class KillWorker(_Command, frozen=True, kw_only=True):
    """SIGKILL the worker's process group."""

    worker: str
    reason: StopReason


class Disconnect(_Command, frozen=True, kw_only=True):
    """Close the worker's socket: whatever it does, it is fenced."""

    worker: str


class Notify(_Command, frozen=True, kw_only=True):
    """Tell the observer a fact."""

    notification: Notification


class Finish(_Command, frozen=True, kw_only=True):
    """Everything has ended; the conductor may return."""


Command = Send | StartWorker | SignalWorker | KillWorker | Disconnect | Notify | Finish
