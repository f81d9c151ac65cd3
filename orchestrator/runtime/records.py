"""A log record on its way from a worker to the run log: one datagram each.

Used on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["RECORD_LIMIT", "Record", "decode", "encode"]

RECORD_LIMIT = 64 * 1024

Plain = str | int | float | bool | None
"""Nothing in it can be nested, or announce more than is there."""


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One record of `logging`: `ts` is Unix time in seconds, `fields` its extras."""

    ts: float
    level: str
    logger: str
    msg: str
    traceback: str = ""
    fields: Mapping[str, Plain] = {}


_encoder = msgspec.msgpack.Encoder(enc_hook=repr)
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Called in the child.

    The datagram; what does not fit is cut from the text.
    """
    data = _encoder.encode(record)
    if len(data) <= RECORD_LIMIT:
        return data
    share = RECORD_LIMIT // 8
    msg, trace = record.msg[:share], record.traceback[-share:]
    return _encoder.encode(msgspec.structs.replace(record, msg=msg, traceback=trace, fields={}))


def decode(data: bytes) -> Record:
    """Called in the parent.

    Raises ValueError for anything else, as do msgspec's own errors.
    """
    try:
        return _decoder.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
