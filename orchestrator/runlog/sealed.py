"""Lines of JSON that end with a checksum of themselves: what was damaged is told from what is new.

A line is a JSON object whose last field, `crc32`, is the CRC-32 of the bytes before it. Any change
of up to 32 neighbouring bits is noticed. Lines of older versions have none.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["SealedLine", "read_sealed", "sealed_line"]

_MARK = b'"crc32": "'
_SEAL = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\Z')


@dataclass(frozen=True, kw_only=True)
class SealedLine:
    """One line, counted from 1: its data, None if it is `damaged` or was never written whole.

    `ended`: a newline follows it.
    """

    number: int
    data: dict[str, Any] | None = None
    damaged: bool = False
    ended: bool = True


def sealed_line(record: msgspec.Struct) -> bytes:
    """Return a record as a line, with its checksum and its newline."""
    head = json.dumps(msgspec.to_builtins(record)).encode("ascii").removesuffix(b"}")
    return b'%s, "crc32": "%08x"}\n' % (head, zlib.crc32(head))


def read_sealed(file: Iterable[bytes], known: Iterable[str]) -> Iterator[SealedLine]:
    """Yield the lines of a file, which come with their newlines, but for the empty ones.

    A line without a checksum is one of an older version if it has no other fields than those that
    are `known`, one that a crash has torn if its end is missing, and damaged in any other case.
    """
    names = frozenset(known)
    for number, line in enumerate(file, 1):
        if text := line.removesuffix(b"\n"):
            data, damaged = _read(text, names)
            yield SealedLine(number=number, data=data, damaged=damaged, ended=text is not line)


def _read(line: bytes, known: frozenset[str]) -> tuple[dict[str, Any] | None, bool]:
    """Return the data of a line, or None and whether it is damaged."""
    seal = _SEAL.search(line)
    if seal is not None and zlib.crc32(line[: seal.start()]) != int(seal[1], 16):
        return None, True
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None, line.endswith(b"}") or _MARK in line
    if isinstance(data, dict) and (seal is not None or data.keys() <= known):
        return data, False
    return None, True
