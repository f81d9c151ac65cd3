"""The JSON Schema of a spec, from the model that reads it: its values, and which keys go together.

It is for editors and programs. What only mporch itself can tell stays out: that a queue is there,
that a target exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator.choices import Shape, WhenFull
from orchestrator.spec.declaration import SpecPart, pydantic_model
from orchestrator.spec.model import FITS, KEYS, Document, JobSettings
from orchestrator.spec.parts import Key
from orchestrator.spec.types import TEXT_PATTERN

__all__ = ["spec_schema"]

_DIALECT = GenerateJsonSchema.schema_dialect
"""JSON Schema 2020-12."""

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
"""What is true of any text with a variable in it."""

_NULL = {"type": "null"}
_FOR_READERS = ("title", "description", "default", "examples")
_TAKES_ANY_TEXT: tuple[dict[str, Any], ...] = (
    {"type": "string"},
    {"type": "string", "pattern": TEXT_PATTERN},
)


def _document_schema() -> dict[str, Any]:
    """Return what can be said of a spec's keys and values one by one."""
    schema = pydantic_model(Document).model_json_schema(schema_generator=_Generator)
    for name, keys in _parts_of(JobSettings, ()):
        _let_null_in(schema["$defs"][name], keys)
    _let_null_in(schema["$defs"]["Job"], ())
    bounds = schema["$defs"]["Queue"]["properties"]
    bounds["maxsize"] = _or_null(bounds["maxsize"])
    for part in (schema, *schema["$defs"].values()):
        _let_references_in(part)
    schema["$defs"]["Reference"] = {
        "title": "Variable",
        "description": "Text with a variable in it; mporch checks what it stands for.",
        **_REFERENCE,
    }
    return schema


def _parts_of(part: type[SpecPart], keys: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of the parts of a job, each with the keys that lead to it."""
    yield part.__name__, keys
    for key, field in part.model_fields.items():
        if isinstance(field.default, SpecPart):
            yield from _parts_of(type(field.default), (*keys, key))


def _let_null_in(schema: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Let null stand for a key of a job that is not written; `keys` lead from the job to here."""
    for key in JobSettings.model_fields if not keys else list(schema["properties"]):
        if not KEYS.get((*keys, key), Key()).null:
            schema["properties"][key] = _or_null(schema["properties"][key])


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: schema[key] for key in _FOR_READERS if key in schema}
    values = {key: value for key, value in schema.items() if key not in about}
    forms = values["anyOf"] if values.keys() == {"anyOf"} else [values]
    if _NULL in forms:
        return schema
    return {"anyOf": [_NULL, *forms], **about}


def _let_references_in(schema: dict[str, Any]) -> None:
    """Let text with a `${…}` stand wherever there is a value in a mapping or list."""
    for key in ("properties", "patternProperties"):
        for name, inner in schema.get(key, {}).items():
            schema[key][name] = _or_reference(inner)
    for key in ("additionalProperties", "items"):
        if isinstance(inner := schema.get(key), dict):
            schema[key] = _or_reference(inner)
    for key in ("anyOf", "oneOf"):
        for inner in schema.get(key, ()):
            _let_references_in(inner)


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of the same values and of references; what is for readers stays outside."""
    _let_references_in(schema)
    about = {key: schema[key] for key in _FOR_READERS if key in schema}
    values = {key: value for key, value in schema.items() if key not in about}
    if not values or values in _TAKES_ANY_TEXT:
        return schema
    forms = values["anyOf"] if values.keys() == {"anyOf"} else [values]
    return {"anyOf": [*forms, {"$ref": "#/$defs/Reference"}], **about}


class _Generator(GenerateJsonSchema):
    """Writes defaults as a spec has them, and refuses keys that no pattern fits."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Write seconds with their unit; leave out what is only empty, or told by its own keys."""
        found = super().default_schema(schema)
        default = found.get("default")
        if isinstance(default, dict) or default in ("", []):
            del found["default"]
        elif isinstance(default, float):
            found["default"] = f"{default:g}s" if default >= 1 else f"{default * 1000:g}ms"
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Let no other key pass beside those that fit the pattern."""
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
        return found

    def normalize_name(self, name: str) -> str:
        """Name a definition by what it is in a spec: Job, and not JobSpec."""
        return super().normalize_name(name).removesuffix("Spec")

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002 -- pydantic's signature
        """Keep the order of the model, in which editors offer the keys."""
        return value


_DISABLED = {
    "properties": {"enabled": {"anyOf": [{"const": False}, _REFERENCE]}},
    "required": ["enabled"],
}
"""Or a variable says whether it is."""
_FORMS: tuple[tuple[Mapping[str, Any], frozenset[Shape]], ...] = (
    ({"not": {"required": ["input"]}}, frozenset({Shape.TASK, Shape.SOURCE})),
    (
        {"not": {"anyOf": [{"required": ["input"]}, {"required": ["output"]}]}},
        frozenset({Shape.TASK}),
    ),
    (
        {
            "not": {"required": ["input"]},
            "properties": {"output": {"type": "object"}},
            "required": ["output"],
        },
        frozenset({Shape.TASK}),
    ),
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
                "properties": {"put_timeout": {"anyOf": [{"type": "null"}, _REFERENCE]}},
                **_BOUNDED,
            },
        },
        {
            "if": {
                "properties": {"put_timeout": {"type": "string", "not": _REFERENCE}},
                "required": ["put_timeout"],
            },
            "then": _BOUNDED,
        },
    ]
}
"""A policy needs a bound, and a limit of a wait somebody who waits for room."""


def spec_schema() -> dict[str, Any]:
    """Return the schema of a whole spec, in JSON Schema 2020-12."""
    schema = _document_schema()
    rules = [
        {"if": form, "then": misfits} for form, shapes in _FORMS if (misfits := _misfits(shapes))
    ]
    schema["$defs"]["Job"] |= {"if": {"not": _DISABLED}, "then": {"allOf": rules}}
    schema["$defs"]["Queue"] |= _WHEN_FULL
    return {"$schema": _DIALECT, **schema}


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
