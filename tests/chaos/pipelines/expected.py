"""The expected ids: what comes to each queue, and what becomes of it, by pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .fates import DEAD, OK, SKIP, children, fate, source_id
from .model import UNNAMED


def source_makes(role: Mapping[str, Any]) -> dict[str, list[str]]:
    """The ids that a source puts on each of its ports, in order."""
    ids = [source_id(role, k) for k in range(role["items"])]
    if UNNAMED in role["ports"]:
        return {UNNAMED: ids}
    return {port: [c for i in ids for c in children(role, port, i)] for port in role["ports"]}


def made_by(role: Mapping[str, Any], port: str, idents: Iterable[str]) -> list[str]:
    """The ids that a reader makes on a port of those that come to it."""
    return [c for i in idents if fate(role, i) == OK for c in children(role, port, i)]


def fates_of(role: Mapping[str, Any], idents: Iterable[str]) -> Counter[str]:
    """How many of them are done, skipped and dead in the end."""
    counts = Counter(fate(role, ident) for ident in idents)
    return Counter({OK: counts[OK], SKIP: counts[SKIP], DEAD: counts[DEAD]})
