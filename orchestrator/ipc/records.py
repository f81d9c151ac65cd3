"""A log record on its way from a worker to the run log: one datagram each.

Used on both sides.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["RECORD_LIMIT", "Record", "decode", "encode"]

RECORD_LIMIT = 64 * 1024
_SPARED = 1024
"""What is no longer than this is never cut: a record has a dozen short values at most, or many
fields, and then all of them go."""
_ELLIPSIS = "…"


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One record of a logging library.

    `ts` is Unix time in seconds. `fields` is a JSON object in ASCII, or empty. `item` is the item
    at hand, or the range of a batch. `call` is `file:line function`. `text` is what the program's
    own handler makes of the record for its console: None if it has no such handler, empty if that
    does not show it. `cut` names the values that are not whole.
    """

    ts: float
    level: str
    logger: str
    msg: str
    fields: str = ""
    traceback: str = ""
    error_type: str = ""
    error: str = ""
    item: str = ""
    attempt: int = 0
    pid: int = 0
    thread: str = ""
    call: str = ""
    text: str | None = None
    cut: tuple[str, ...] = ()


_TEXTS = ("msg", "traceback", "error_type", "error", "thread", "call", "logger")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Called in the child.

    The datagram. What is too large for one is cut, the longest value first, and named in `cut`.
    """
    try:
        data = _encoder.encode(record)
    except UnicodeEncodeError:  # a lone surrogate somewhere
        record = _encodable(record)
        data = _encoder.encode(record)
    return data if len(data) <= RECORD_LIMIT else _encoder.encode(_fitted(record, len(data)))


def decode(data: bytes) -> Record:
    """Called in the parent.

    Raises ValueError for anything else, as do msgspec's own errors.
    """
    try:
        return _decoder.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _encodable(record: Record) -> Record:
    texts = (*_TEXTS, "text", "item", "level")
    return msgspec.structs.replace(
        record,
        **{
            name: value.encode("utf-8", "backslashreplace").decode("utf-8")
            for name in texts
            if (value := getattr(record, name)) is not None
        },
    )


def _fitted(record: Record, size: int) -> Record:
    """The record without what makes it too large. What the console would show goes first."""
    over = size - RECORD_LIMIT + 64  # the names in `cut` need room, too
    changes: dict[str, Any] = {}
    if record.text is not None:
        over -= len(record.text.encode())
        changes["text"] = None
    fields = json.loads(record.fields) if record.fields else {}
    sizes = {name: len(getattr(record, name).encode()) for name in _TEXTS}
    sizes |= {f"fields.{name}": len(json.dumps(value)) for name, value in fields.items()}
    cut = list(record.cut)
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if over <= 0 or sizes[name] <= _SPARED:
            break
        left = max(_SPARED, sizes[name] - over - len(name) - 16)
        over -= sizes[name] - left
        cut += [name] * (name not in cut)
        if name.startswith("fields."):
            key = name.removeprefix("fields.")
            fields[key] = _shortened_value(fields[key], left)
        else:
            keep_end = name == "traceback"
            changes[name] = _shortened(getattr(record, name), left, keep_end=keep_end)
    if over > 0:  # thousands of small fields
        fields, cut = {}, [name for name in cut if not name.startswith("fields.")] + ["fields"]
    changes["fields"] = json.dumps(fields) if fields else ""
    return msgspec.structs.replace(record, cut=tuple(cut), **changes)


def _shortened(text: str, most: int, *, keep_end: bool = False) -> str:
    """At most `most` bytes of a text: of a traceback its end, of anything else its beginning."""
    data = text.encode()
    if len(data) <= most:
        return text
    room = most - len(_ELLIPSIS.encode())
    kept = (data[-room:] if keep_end else data[:room]).decode("utf-8", "ignore")
    return _ELLIPSIS + kept if keep_end else kept + _ELLIPSIS


def _shortened_value(value: Any, most: int) -> str:
    """A JSON value as text that takes at most `most` bytes of JSON, whatever has to be escaped."""
    text = value if isinstance(value, str) else json.dumps(value)
    kept = text[: most - 8]
    while len(json.dumps(kept)) > most - 8:
        kept = kept[: len(kept) * 3 // 4]
    return kept + _ELLIPSIS
