"""Results of a target become items: the table in docs/spec.md.

Called in the child.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from orchestrator.plan.model import Shape

__all__ = ["SPECIAL", "items_of"]

SPECIAL = frozenset({GeneratorType, CoroutineType, AsyncGeneratorType})
"""Results of a function that has not run yet; anything else that an item gives is one item."""

_NOTHING: tuple[Any, ...] = ()


def items_of(result: Any, shape: Shape, *, emits: bool) -> Iterable[Any]:
    """The items a call has produced; raises TypeError for what cannot be meant.

    A job without outputs discards what it is given, but a generator is still run to its end: its
    body is the user's code.
    """
    if isinstance(result, GeneratorType):
        return result if emits else _run_through(result)
    if isinstance(result, CoroutineType | AsyncGeneratorType):
        if isinstance(result, CoroutineType):
            result.close()
        raise TypeError(
            "the target is a coroutine function; mporch calls plain functions"
            " (hint: wrap it, `def target(item): return asyncio.run(work(item))`)"
        )
    if not emits:
        return _NOTHING
    if shape is Shape.SOURCE:
        return _of_source(result)
    if result is None:
        return _NOTHING
    if shape is Shape.BATCH:
        if isinstance(result, list):
            return result
        raise TypeError(
            f"a batch target gives back None, a list or a generator, not {type(result).__name__}"
        )
    return (result,)


def _of_source(result: Any) -> Iterable[Any]:
    if result is None:
        raise TypeError("a source gives back its items, not None (is a `return` missing?)")
    if isinstance(result, str | bytes | bytearray | Mapping) or not isinstance(result, Iterable):
        raise TypeError(
            f"a source gives back an iterable of items, not {type(result).__name__}"
            " (to emit it as one item, yield it)"
        )
    return result


def _run_through(generator: Iterator[Any]) -> Iterable[Any]:
    for _ in generator:
        pass
    return _NOTHING
