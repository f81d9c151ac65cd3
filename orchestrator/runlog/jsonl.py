"""Files of JSON, a line a record: what a crash has torn, or a fault has changed, is told.

A log has plain lines. Letters and notes of replays have sealed ones: the last field, `crc32`, is
the CRC-32 of the bytes before it. Any change of up to 32 neighbouring bits is noticed. Lines of
older versions have none.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from orchestrator.errors import RunDirectoryError
from orchestrator.files import open_regular

__all__ = [
    "Damage",
    "Record",
    "SealedLine",
    "dumps",
    "is_torn",
    "parse",
    "read_records",
    "read_sealed",
    "sealed_line",
    "write_whole",
]

Record: TypeAlias = dict[str, Any]
T = TypeVar("T", bound=msgspec.Struct)

_DEEPEST = 20
_FAST = msgspec.json.Decoder()
_MARK = b'"crc32": "'
_SEAL = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\Z')


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Bytes that are no record, from `offset` on; `reason` says what they are."""

    offset: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class SealedLine:
    """One line, counted from 1: its data, None if it is `damaged` or was never written whole.

    `ended`: a newline follows it.
    """

    number: int
    data: Record | None = None
    damaged: bool = False
    ended: bool = True


def dumps(value: Any, **_: Any) -> str:
    """Encode as ASCII JSON; what JSON has no word for becomes its repr, NaN a string."""
    try:
        return json.dumps(value, default=repr, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_plain(value, depth=0), default=repr)


def _plain(value: Any, *, depth: int) -> Any:
    """Copy `value` with str keys, without NaN and cut off below 20 levels."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {str(key): _plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth=depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def parse(line: bytes, offset: int) -> Record | Damage:
    """Return the record of a line that begins at `offset` of its file, or what it is instead."""
    if not line.strip(b"\0\r\n \t"):
        return Damage(offset=offset, reason="no record, only blanks or NUL bytes")
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        cut = "" if line.endswith(b"\n") else ", cut short"
        return Damage(offset=offset, reason=f"not a record{cut}")
    return record if isinstance(record, dict) else Damage(offset=offset, reason="not a record")


def _decode(line: bytes) -> Any:
    """Decode a line: fast, or by the standard library, which takes lone surrogates as well."""
    try:
        return _FAST.decode(line)
    except ValueError:
        return json.loads(line)


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
            data, damaged = _unsealed(text, names)
            yield SealedLine(number=number, data=data, damaged=damaged, ended=text is not line)


def _unsealed(line: bytes, known: frozenset[str]) -> tuple[Record | None, bool]:
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


def read_records(path: Path, kind: type[T]) -> Iterator[tuple[SealedLine, T | None]]:
    """Yield each sealed line of a file with its record, None where it has none of that `kind`.

    A file that is not there has no lines. Raises RunDirectoryError if it cannot be read.
    """
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        for line in read_sealed(file, kind.__struct_fields__):
            record = None
            if line.data is not None:
                with contextlib.suppress(ValueError):
                    record = msgspec.convert(line.data, kind)
            yield line, record


def write_whole(fd: int, *pieces: bytes | bytearray | memoryview, synced: bool = False) -> None:
    """Write pieces at the end of a file; raises OSError, and then nothing of them is in it.

    `synced`: they are to survive a loss of power.
    """
    size = os.fstat(fd).st_size
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
        if synced:
            os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
        raise


def is_torn(fd: int) -> bool:
    """True if the last line of the file is unfinished."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
