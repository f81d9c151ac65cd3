"""A bottleneck: a job that limited the run for a while, as `summary.json` has it."""

from __future__ import annotations

import enum

import msgspec

__all__ = ["Bottleneck", "Why"]


class Why(enum.Enum):
    """The reason for which a job limited its run."""

    BUSY = "busy"
    """Its workers ran."""
    RATE = "rate"
    """There were items, and its rate held them."""
    STARTING = "starting"
    """Its workers were not ready yet."""
    STRAGGLER = "straggler"
    """One worker was at one item, or one was left at work, and the others had nothing to do."""
    BYTES = "bytes"
    """`max_bytes` of its output let neither it nor who reads it go on."""
    PROCESSORS = "processors"
    """The processors were spent, or the quota of the control group."""
    DISK = "disk full"
    """The run waited for room on the disk."""
    BATCHES = "batches"
    """Its batches waited for more items, and nobody else had anything to do."""


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """A job that limited the run from `from_s` to `to_s` after its start; `why` is a `Why`'s value.

    `share` is the part of the whole run for which it was the one that its neighbours held least.
    `text` is all that in words, with the evidence and what to try.
    """

    job: str
    why: str
    share: float
    from_s: float
    to_s: float
    text: str = ""
