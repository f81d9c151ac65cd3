"""Targets of the jobs of a case: stand-ins, and a target that dies at its n-th item.

Called in the child. Only plans of `mporch test` name them.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from types import TracebackType
from typing import Any

from orchestrator.features.testcases.begun import BegunFile
from orchestrator.plan.model import Shape, Target
from orchestrator.worker.current import begun, current
from orchestrator.worker.target import Entered, construct, load

__all__ = ["Mortal", "give", "stand_in", "stand_in_source"]


Gives = Mapping[str, Sequence[Any]]
"""The values to put on each handle, by its parameter."""


def give(items: Sequence[Any]) -> Iterable[Any]:
    """Give the items of a queue."""
    return iter(items)


def stand_in(taken: Iterable[Any], gives: Gives, **handles: Any) -> None:
    """Take all that comes; the n-th item gives the n-th value, and what is left comes at the end.

    Of several handles each has its own values.
    """
    missing = object()
    rows = iter(zip_longest(*gives.values(), fillvalue=missing))

    def put(row: Sequence[Any]) -> None:
        for parameter, value in zip(gives, row, strict=False):
            if value is not missing:
                handles[parameter].put(value)

    for _ in taken:
        put(next(rows, ()))
    for row in rows:
        put(row)


def stand_in_source(gives: Gives, **handles: Any) -> None:
    """Give all values."""
    stand_in((), gives, **handles)


class Mortal:
    """Stands before a job's target and dies, by SIGKILL, when the job comes to its n-th item.

    The target is the one that `order` names, with its own arguments; it is constructed once a
    worker. The items are counted over all workers of the job and their successors (see `begun`), so
    it happens once.

    `at_items` of the order are the items that it dies at: at one that stands there twice, twice.
    """

    def __init__(self, order: Mapping[str, Any], /, *args: Any, **kwargs: Any) -> None:
        found = load(Target(module=order["module"], qualname=order["qualname"]), ())
        self._shape = Shape(order["shape"])
        self._handles = frozenset(order["handles"])
        self._at_items: Sequence[int] = order["at_items"]
        self._begun = BegunFile(current().run_dir, current().job)
        self._given_n = 0
        self._entered = Entered()
        self._call = self._made(found, args, kwargs)

    def __enter__(self) -> Mortal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool | None:
        return self._entered.__exit__(kind, error, at)

    def __call__(self, *item: Any, **handles: Any) -> Any:
        """Call the target, as the worker would."""
        match self._shape:
            case Shape.ITEM:
                self._begin(1)
            case Shape.BATCH:
                self._begin(len(item[0]))
            case Shape.STREAM:
                item = (self._counted(item[0]),)
            case Shape.HANDLES | Shape.TASK:
                handles |= self._counting(handles)
            case Shape.SOURCE:
                return self._given(self._call(*item, **handles))
        return self._call(*item, **handles)

    def _made(
        self, found: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Callable[..., Any]:
        """Return what is called with the item and handles: as the worker itself would make it."""
        if not inspect.isclass(found):
            return lambda *item, **handles: found(*item, *args, **kwargs, **handles)
        called: Callable[..., Any] = construct(found, args, kwargs, self._entered)
        return called

    def _begin(self, n: int) -> None:
        """The job begins with so many items; it dies if one that is meant is among them."""
        for number, times in self._begun.add(begun(n) or self._own(n)):
            if times <= self._at_items.count(number):
                os.kill(os.getpid(), signal.SIGKILL)

    def _own(self, n: int) -> list[str]:
        """Ids for items that have none here: the n-th of a worker is that of its successor, too."""
        first, self._given_n = self._given_n, self._given_n + n
        return [f"{current().index}:{number}" for number in range(first, self._given_n)]

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._begin(1)
            yield item

    def _given(self, result: Any) -> Any:
        """Iterate over what a source gives, if it gives items: other results are refused."""
        is_one = isinstance(result, str | bytes | bytearray | Mapping)
        return result if is_one or not isinstance(result, Iterable) else self._counted(result)

    def _counting(self, handles: Mapping[str, Any]) -> dict[str, Any]:
        """Handles that count what they get or, of a job that only writes, what is to be put."""
        made = _Reader if self._shape is Shape.HANDLES else _Writer
        return {name: made(handles[name], self._begin) for name in self._handles & handles.keys()}


class _Handle:
    """Stands before a handle, which may be compiled: no method of it can be replaced."""

    def __init__(self, handle: Any, begin: Callable[[int], None]) -> None:
        self._handle = handle
        self._begin = begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def __repr__(self) -> str:
        return repr(self._handle)

    def __reduce__(self) -> Any:
        return self._handle.__reduce__()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._handle)


class _Reader(_Handle):
    """Counts what is got."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Get an item, which begins with that."""
        item = self._handle.get(*args, **kwargs)
        self._begin(1)
        return item

    def get_nowait(self) -> Any:
        """As the handle's."""
        return self.get(block=False)

    def __next__(self) -> Any:
        item = next(self._handle)
        self._begin(1)
        return item


class _Writer(_Handle):
    """Counts what is to be put."""

    def put(self, *args: Any, **kwargs: Any) -> None:
        """Put an item, which begins before that."""
        self._begin(1)
        self._handle.put(*args, **kwargs)

    def put_nowait(self, obj: Any) -> None:
        """As the handle's."""
        self.put(obj, block=False)
