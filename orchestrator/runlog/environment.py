"""Tells whether variables of the environment are what they were, without keeping what they were.

Of each value a run keeps a keyed hash. The key lies beside the runs and not in them, and only its
owner may read it: whoever has a run's directory alone cannot try out values, however short.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.files import open_new, open_regular
from orchestrator.runlog.directory import make_home

__all__ = ["KEY_NAME", "UNKNOWN", "changed", "fingerprints"]

KEY_NAME = "key"
UNKNOWN = ""
"""Stands for the hash of a value where there is no key."""

_KEY_BYTES = 32


def fingerprints(
    environment: Mapping[str, str | None], home: Path, run_id: str
) -> dict[str, str | None]:
    """Return the keyed hash of each value, None for a variable that has none.

    The key is made under `home` when it is first needed; without one, UNKNOWN stands for each. The
    same value has another hash in another run.
    """
    if not environment:
        return {}
    key = _key_of(home)
    return {
        name: None if value is None else _fingerprint(key, run_id, name, value)
        for name, value in environment.items()
    }


def changed(
    kept: Mapping[str, str | None], now: Mapping[str, str | None], unset: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the variables of which it is not certain that they are what they were.

    An older run has kept None for one that was unset and had a default, as one that is `unset` has.
    """
    return tuple(
        name
        for name in now
        if name not in kept
        or now[name] == UNKNOWN
        or (kept[name] != now[name] and not (kept[name] is None and name in unset))
    )


def _fingerprint(key: bytes, run_id: str, name: str, value: str) -> str:
    if not key:
        return UNKNOWN
    said = "\0".join((run_id, name, value)).encode("utf-8", "surrogateescape")
    return hmac.new(key, said, "sha256").hexdigest()


def _key_of(home: Path) -> bytes:
    """Return the key, made if need be; empty if it cannot be read or made."""
    for make in (_nothing, _make_key):
        with contextlib.suppress(OSError, UsageError):  # without a key, or in another user's folder
            make(home)
            with os.fdopen(open_regular(home / KEY_NAME, os.O_RDONLY), "rb") as file:
                key = file.read()
            return key if len(key) == _KEY_BYTES else b""
    return b""


def _nothing(home: Path) -> None:
    """The key may be there already."""


def _make_key(home: Path) -> None:
    """Make the key as a whole; whoever was faster has made it."""
    make_home(home)
    draft = home / f".{KEY_NAME}.{os.urandom(8).hex()}"
    with os.fdopen(open_new(draft), "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, home / KEY_NAME)
    finally:
        draft.unlink()
