"""Findings of an examination."""

from __future__ import annotations

import enum

import msgspec

__all__ = ["Finding", "Verdict"]


class Verdict(enum.Enum):
    """How much something matters as it was found."""

    OK = "ok"
    """As it should be."""
    SLOWER = "slower"
    """Everything works, but takes longer."""
    LIMITED = "limited"
    """Runs work; something that is named does not."""
    BROKEN = "broken"
    """No run will work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, and what it means where that is to be known."""

    name: str
    verdict: Verdict
    found: str
    means: str = ""
