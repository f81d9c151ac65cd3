"""The JSON Schema of a spec's values, from the same model that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator.spec.model import Document, JobSettings
from orchestrator.spec.types import TEXT_PATTERN
from orchestrator.spec.validate import VALUES

__all__ = ["DIALECT", "REFERENCE", "document_schema"]

DIALECT = GenerateJsonSchema.schema_dialect
"""JSON Schema 2020-12."""

REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
"""What is true of any text with a variable in it."""

_NULL = {"type": "null"}
_FOR_READERS = ("title", "description", "default", "examples")
_TAKES_ANY_TEXT: tuple[dict[str, Any], ...] = (
    {"type": "string"},
    {"type": "string", "pattern": TEXT_PATTERN},
)


def document_schema() -> dict[str, Any]:
    """Return what can be said of a spec's keys and values one by one."""
    schema = Document.model_json_schema(schema_generator=_Generator)
    for name, keys in _parts_of(JobSettings, ()):
        _let_null_in(schema["$defs"][name], keys)
    _let_null_in(schema["$defs"]["Job"], ())
    for part in (schema, *schema["$defs"].values()):
        _let_references_in(part)
    schema["$defs"]["Reference"] = {
        "title": "Variable",
        "description": "Text with a variable in it; mporch checks what it stands for.",
        **REFERENCE,
    }
    return schema


def _parts_of(
    part: type[BaseModel], keys: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of the parts of a job, each with the keys that lead to it."""
    yield part.__name__, keys
    for key, field in part.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _parts_of(type(field.default), (*keys, key))


def _let_null_in(schema: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Let null stand for a key of a job that is not written; `keys` lead from the job to here."""
    for key in JobSettings.model_fields if not keys else list(schema["properties"]):
        if (*keys, key) not in VALUES:
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

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002 -- pydantic's signature
        """Keep the order of the model, in which editors offer the keys."""
        return value
