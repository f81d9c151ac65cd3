"""The witness: how much a store has acknowledged, told outside of it. Called in the parent.

SQLite drops the end of a damaged write-ahead log without a word; a store that has less than its
witness saw is not whole.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from orchestrator.files import open_regular

__all__ = ["Witness", "read_witness"]

_FORM = struct.Struct("<QI")


class Witness:
    """Notes the number of the last transaction that was acknowledged. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._fd = open_regular(path, os.O_RDWR | os.O_CREAT)

    def note(self, seq: int) -> None:
        """Everything up to this number is in the store."""
        os.pwrite(self._fd, _pack(seq), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_witness(path: Path) -> int | None:
    """The number noted last; None if there is none that can be trusted."""
    try:
        fd = open_regular(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        data = os.pread(fd, _FORM.size, 0)
    finally:
        os.close(fd)
    if len(data) != _FORM.size:
        return None
    seq: int = _FORM.unpack(data)[0]
    return seq if data == _pack(seq) else None


def _pack(seq: int) -> bytes:
    number = seq.to_bytes(8, "little")
    return _FORM.pack(seq, zlib.crc32(number))
