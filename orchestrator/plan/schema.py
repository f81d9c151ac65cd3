"""The JSON Schema of a spec, for editors and programs: its values, and which keys go together.

What only mporch itself can tell stays out: that a queue is there, that a target exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.plan.checks.keys import FITS
from orchestrator.plan.model import Shape, WhenFull
from orchestrator.spec.schema import DIALECT, REFERENCE, document_schema

__all__ = ["spec_schema"]

_DISABLED = {
    "properties": {"enabled": {"anyOf": [{"const": False}, REFERENCE]}},
    "required": ["enabled"],
}
"""Or a variable says whether it is."""
_FORMS: tuple[tuple[Mapping[str, Any], frozenset[Shape]], ...] = (
    ({"not": {"required": ["input"]}}, frozenset({Shape.TASK, Shape.SOURCE})),
    (
        {"properties": {"input": {"type": "object"}}, "required": ["input"]},
        frozenset({Shape.HANDLES}),
    ),
    *(
        (
            {
                "properties": {"input": {"type": ["string", "array"]}, "call": {"const": call}},
                "required": ["input", "call"],
            },
            frozenset({shape}),
        )
        for call, shape in (
            ("item", Shape.ITEM),
            ("batch", Shape.BATCH),
            ("stream", Shape.STREAM),
        )
    ),
)
"""How a job is written, and what shapes it may have then: `call` may also come from `defaults`."""

_NOT_WRITTEN = {"type": "null"}
"""A key that is null counts so."""

_NOBODY_WAITS = [each.value for each in WhenFull if each is not WhenFull.BLOCK]
_BOUNDED = {
    "anyOf": [
        {"properties": {"maxsize": {"not": {"const": 0}}}},
        {"properties": {"max_bytes": {"type": "string"}}, "required": ["max_bytes"]},
    ]
}
_WHEN_FULL = {
    "allOf": [
        {
            "if": {"properties": {"when_full": {"enum": _NOBODY_WAITS}}, "required": ["when_full"]},
            "then": {
                "properties": {"put_timeout": {"anyOf": [{"type": "null"}, REFERENCE]}},
                **_BOUNDED,
            },
        },
        {
            "if": {
                "properties": {"put_timeout": {"type": "string", "not": REFERENCE}},
                "required": ["put_timeout"],
            },
            "then": _BOUNDED,
        },
    ]
}
"""A policy needs a bound, and a limit of a wait somebody who waits for room."""


def spec_schema() -> dict[str, Any]:
    """Return the schema of a whole spec, in JSON Schema 2020-12."""
    schema = document_schema()
    rules = [
        {"if": form, "then": misfits} for form, shapes in _FORMS if (misfits := _misfits(shapes))
    ]
    schema["$defs"]["Job"] |= {"if": {"not": _DISABLED}, "then": {"allOf": rules}}
    schema["$defs"]["Queue"] |= _WHEN_FULL
    return {"$schema": DIALECT, **schema}


def _misfits(shapes: frozenset[Shape]) -> dict[str, Any]:
    """Return a schema that refuses the keys which fit none of `shapes`."""
    refused: dict[str, Any] = {}
    for (key, *inner), fitting in FITS.items():
        if shapes & fitting or refused.get(key) is _NOT_WRITTEN:
            continue
        if inner:
            part = refused.setdefault(key, {"properties": {}})
            part["properties"][inner[0]] = _NOT_WRITTEN
        else:
            refused[key] = _NOT_WRITTEN
    return {"properties": refused} if refused else {}
