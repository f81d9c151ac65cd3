"""A moment of a run, as plain data: what the live display draws."""

from __future__ import annotations

import msgspec

__all__ = ["JobSnapshot", "QueueSnapshot", "Snapshot"]


class JobSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One job: `state` is a lifecycle state's value, the numbers of workers count those alive.

    `running`, `waiting_input` and `waiting_output` say what they are at; `items_in` and
    `items_out` count committed items.
    """

    name: str
    state: str
    workers: int = 0
    running: int = 0
    waiting_input: int = 0
    waiting_output: int = 0
    items_in: int = 0
    items_out: int = 0


class QueueSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One queue: `size` of at most `maxsize` items (0: unbounded), `put` and `done` so far."""

    name: str
    size: int
    maxsize: int
    put: int = 0
    done: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs and queues, in the order of the spec."""

    jobs: tuple[JobSnapshot, ...]
    queues: tuple[QueueSnapshot, ...] = ()
