"""Unpickles without importing or calling anything that is not plain data.

A name outside of a short list is never looked up: a stand-in takes its place, which only notes what
the pickle says of it. Standard library only.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import io
import pathlib
import pickle
import pickletools
import resource
import time
import uuid
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

__all__ = ["PLAIN_KINDS", "Unknown", "confine", "limit_cpu", "names_in", "safe_loads"]

_MOST_NAMES = 20
_MEMORY_BYTES = 1 << 30


def confine() -> None:
    """Give this process no more memory than that, no file to write, no process to start."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


def limit_cpu(seconds: int) -> None:
    """Let the kernel end this process when it has worked for so many seconds from now on."""
    limit = int(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


class ZoneInfo(datetime.tzinfo):
    """A time zone by its name, in the place of the real one, which reads its rules from a file."""

    def __init__(self, key: object = "", *_: object) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"zoneinfo.ZoneInfo(key={self._key!r})"

    def utcoffset(self, _: object) -> None:
        """Not known; comparing such times is not wanted either."""

    dst = utcoffset


ZoneInfo.__module__ = "zoneinfo"


_KINDS: tuple[type, ...] = (
    *(bool, bytearray, bytes, complex, dict, float, frozenset, int, list, range, set, slice, str),
    tuple,
    *(collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID, ZoneInfo),
    *(pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath),
)
PLAIN_KINDS = frozenset((*_KINDS, type(None)))
"""What plain data is made of, whose `repr` is Python's own."""
_PRIVATE = "._local"
"""Where pathlib keeps its classes in some versions of Python."""

_SAFE = MappingProxyType(
    {(kind.__module__.removesuffix(_PRIVATE), kind.__name__): kind for kind in _KINDS}
)
_LOADS = frozenset({("pickle", "loads"), ("_pickle", "loads")})


class Unknown:
    """An object of a class that was not loaded, or what a function that was not called returned.

    `arguments`, `states`, `items` and `pairs` are what the pickle would have given it.
    """

    called = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Unknown:
        """Whatever the class or function takes."""
        made = super().__new__(cls)
        made.arguments = list(args)
        made.states = [kwargs] if kwargs else []
        made.items = []
        made.pairs = []
        return made

    arguments: list[Any]
    states: list[Any]
    items: list[Any]
    pairs: list[tuple[Any, Any]]

    def __setstate__(self, state: Any) -> None:
        self.states.append(state)

    def __call__(self, *args: Any) -> Unknown:
        """Return what the function that it may stand for was called with."""
        return Unknown(self, *args)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pairs.append((key, value))

    def append(self, item: Any) -> None:
        """As of a list."""
        self.items.append(item)

    add = append  # as of a set

    def extend(self, items: Iterable[Any]) -> None:
        """As of a list."""
        self.items.extend(items)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for, looked up in the table of this file only."""
        if (module, name) in _LOADS:
            return safe_loads
        if (module, name) == ("builtins", "getattr"):
            return _getattr
        safe = _SAFE.get((module.removesuffix(_PRIVATE), name))
        return safe or _unknown(f"{module}.{name}".removeprefix("builtins."))


def _unknown(called: str) -> type[Unknown]:
    return type("Unknown", (Unknown,), {"called": called})


def _getattr(owner: Any, name: Any) -> Any:
    """Return how a pickle asks for a time zone; no other attribute is looked up."""
    known = owner is ZoneInfo and name == "_unpickle"
    return ZoneInfo if known else _unknown("getattr")(owner, name)


def safe_loads(data: bytes) -> Any:
    """The object that `data` pickles, as far as it is plain data.

    Raises whatever a pickle that is damaged, or made to do harm, makes the unpickler raise.
    """
    return _Unpickler(io.BytesIO(data)).load()


def names_in(data: bytes) -> list[str]:
    """The classes and functions that a pickle names, as far as it can be read; twenty at most."""
    found: dict[str, None] = {}
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                found[str(argument).replace(" ", ".")] = None
            elif opcode.name == "STACK_GLOBAL":
                found[".".join(texts[-2:])] = None
            elif isinstance(argument, str):
                texts = [*texts[-1:], argument]
            if len(found) == _MOST_NAMES:
                break
    except Exception:  # noqa: BLE001 -- a damaged pickle: what was found until there is the answer
        return list(found)
    return list(found)
