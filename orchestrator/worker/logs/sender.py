"""Log records on their way from a worker: any values as JSON within bounds, one datagram each.

Called in the child. Nothing here raises for a value's sake, whatever its own methods do: a value
that cannot be shown costs itself only. StopRequested, which the stop signal raises anywhere, and
KeyboardInterrupt pass.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import functools
import json
import math
import socket
import sys
import types
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import msgspec

from orchestrator.ipc.records import Record, encode
from orchestrator.worker.failure import name_of, render, text_of
from orchestrator.worker.stopping import StopRequested

__all__ = ["LONG", "PASSED", "Sender", "encodable", "level_of", "shown", "to_json"]


class Sender:
    """The worker's way to the run's log. A datagram is whole or not there: threads need no lock.

    `draws`: somebody sees what the program's own handlers make of a record.
    """

    def __init__(
        self, sock: socket.socket, at_hand: Callable[[], tuple[str, int]], *, draws: bool = True
    ) -> None:
        self.draws = draws
        self._sock = sock
        self._at_hand = at_hand

    def send(
        self,
        *,
        ts: float,
        level: str,
        logger: str,
        msg: str,
        fields: Mapping[Any, Any] | None = None,
        error: BaseException | None = None,
        traceback: str = "",
        pid: int = 0,
        thread: str = "",
        call: str = "",
        text: str | None = None,
    ) -> None:
        """Send one record. `traceback` goes below that of `error`.

        Where it cannot be sent, since the target has closed what is not its own, its text goes to
        standard error.
        """
        error_type = said = ""
        if error is not None:
            error_type, said = name_of(type(error)), text_of(error)
            traceback = "\n".join(part for part in (render(error).rstrip(), traceback) if part)
        cut: tuple[str, ...] = ()
        encoded = ""
        if fields:
            encoded, cut = to_json(fields)
        item, attempt = self._at_hand()
        if cut:
            cut = tuple(f"fields.{name}" for name in cut)
        record = Record(  # by position: this is done for each record
            *(ts, level, logger, msg, encoded, traceback, error_type, said),
            *(item, attempt, pid, thread, call, text, cut),
        )
        try:
            self._sock.send(encode(record))
        except OSError:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"{level.upper()} {logger}: {encodable(msg)}\n")


_KNOWN = {
    "trace": "debug",
    "spam": "debug",
    "debug": "debug",
    "verbose": "debug",
    "info": "info",
    "notice": "info",
    "success": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "exception": "error",
    "failure": "error",
    "critical": "critical",
    "fatal": "critical",
}
_FROM = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"))


@functools.lru_cache(maxsize=256)
def level_of(name: str, number: float = 20) -> str:
    """One of debug, info, warning, error and critical.

    By name where that is a known one, since libraries number SUCCESS or NOTICE as they like; else
    by number, since a program may call its levels whatever it wants.
    """
    known = _KNOWN.get(name.strip().lower())
    if known is not None:
        return known
    return next((level for least, level in _FROM if number >= least), "debug")


LONG = 32 * 1024
"""Characters of a value that are kept; and elements, roughly."""
PASSED = (StopRequested, KeyboardInterrupt)
"""What is never a value's fault."""
_DEEPEST = 20
_LONGEST_KEY = 256
_INT_LIMIT = 1 << 63
_AS_TEXT = frozenset(
    {
        ("uuid", "UUID"),
        ("decimal", "Decimal"),
        ("pathlib", "PurePath"),
        ("pathlib._local", "PurePath"),
        ("datetime", "timedelta"),
        ("ipaddress", "_BaseAddress"),
        ("ipaddress", "_BaseNetwork"),
    }
)
"""By name: a worker whose target has none of them does not import them."""
_AS_LIST = (list, tuple, set, frozenset, deque)

_encode = msgspec.json.Encoder().encode


def to_json(fields: Mapping[Any, Any]) -> tuple[str, tuple[str, ...]]:
    """A JSON object in ASCII, and the names of those fields that are not whole."""
    if _is_plain(fields):
        try:
            text = _encode(fields).decode()
        except (TypeError, ValueError, OverflowError):  # a key that is no text, a lone surrogate
            pass
        else:
            return (text if text.isascii() else json.dumps(fields)), ()
    made: dict[str, Any] = {}
    cut = []
    for key, value in fields.items():
        name = _key(key)
        walk = _Walk()
        made[name] = walk.plain(value)
        if walk.cut:
            cut.append(name)
    return json.dumps(made), tuple(cut)


def shown(value: Any, make: Callable[[Any], Any] = repr) -> str:
    """Return what `repr`, or another function, says of a value, else why it cannot say it."""
    try:
        text = make(value)
        return encodable(str.__str__(text))
    except PASSED:
        raise
    except BaseException as error:  # noqa: BLE001 - the user's own method
        what = getattr(make, "__name__", "text")
        return f"<{name_of(type(value))}, whose {what} raised {name_of(type(error))}>"


def encodable(text: str) -> str:
    """The text with its lone surrogates as escapes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_plain(fields: Mapping[Any, Any]) -> bool:
    """True if all values are of JSON's own scalar types, and of a sane size."""
    for value in fields.values():
        kind = type(value)
        if kind is str:
            if len(value) > LONG:
                return False
        elif kind is int:
            if not -_INT_LIMIT <= value < _INT_LIMIT:
                return False
        elif kind is float:
            if not math.isfinite(value):
                return False
        elif kind is not bool and value is not None:
            return False
    return True


def _key(key: Any) -> str:
    text = encodable(key) if type(key) is str else shown(key, str)
    return text[:_LONGEST_KEY]


class _Walk:
    """Makes one value plain. `cut` says that it is not whole."""

    def __init__(self) -> None:
        self.cut = False
        self._left = LONG
        self._inside: set[int] = set()

    def plain(self, value: Any) -> Any:
        """The value as what JSON knows."""
        self._left -= 2
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind is bool:
            return value
        if kind is int or (issubclass(kind, int) and not issubclass(kind, enum.Enum)):
            return self._integer(value)
        if issubclass(kind, float):
            number = float.__float__(value)
            return number if math.isfinite(number) else float.__repr__(number)
        try:
            return self._other(value, kind)
        except PASSED:
            raise
        except BaseException:  # noqa: BLE001 - its own methods; a dict that changes meanwhile
            return self._text(shown(value))

    def _integer(self, value: int) -> Any:
        number = int.__int__(value)
        if -_INT_LIMIT <= number < _INT_LIMIT:
            return number
        if number.bit_length() > LONG:  # Python refuses to write it, or takes long
            self.cut = True
            return f"<int of {number.bit_length()} bits>"
        return shown(number)

    def _other(self, value: Any, kind: type) -> Any:
        if issubclass(kind, enum.Enum):
            return self.plain(value.value)
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, datetime.date | datetime.time):
            return value.isoformat()
        if any((base.__module__, base.__qualname__) in _AS_TEXT for base in kind.__mro__):
            return self._text(str(value))
        if issubclass(kind, bytes | bytearray):
            self.cut = self.cut or len(value) > LONG
            return self._text(bytes(value[:LONG]).decode("utf-8", "backslashreplace"))
        if issubclass(kind, dict):
            return self._nested(value, lambda: self._dict(dict.items(value), dict.__len__(value)))
        if issubclass(kind, types.MappingProxyType):
            return self._nested(value, lambda: self._dict(value.items(), len(value)))
        if issubclass(kind, _AS_LIST):
            return self._nested(value, lambda: self._list(value))
        if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
            return self.plain(value.item())  # a number of numpy
        return self._text(shown(value))

    def _text(self, text: str) -> str:
        most = min(LONG, max(0, self._left))
        if len(text) > most:
            self.cut = True
            text = text[:most] + "…"
        self._left -= len(text)
        return encodable(text)

    def _nested(self, value: Any, make: Callable[[], Any]) -> Any:
        """The elements of a container, unless it is inside of itself, or too deep."""
        if id(value) in self._inside or len(self._inside) >= _DEEPEST:
            self.cut = True
            return "…"
        self._inside.add(id(value))
        try:
            return make()
        finally:
            self._inside.discard(id(value))

    def _dict(self, items: Any, n: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if self._left <= 0:
                break
            name = _key(key)
            self._left -= len(name)
            made[name] = self.plain(value)
        self.cut = self.cut or len(made) < n
        return made

    def _list(self, value: Any) -> list[Any]:
        made: list[Any] = []
        for each in islice(iter(value), LONG):
            if self._left <= 0:
                break
            made.append(self.plain(each))
        self.cut = self.cut or len(made) < len(value)
        return made
