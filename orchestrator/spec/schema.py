"""The JSON Schema of a spec's values, from the same model that reads them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator.spec.model import Document

__all__ = ["DIALECT", "document_schema"]

DIALECT = GenerateJsonSchema.schema_dialect
"""JSON Schema 2020-12."""


def document_schema() -> dict[str, Any]:
    """Return what can be said of a spec's keys and values one by one."""
    return Document.model_json_schema(schema_generator=_Generator)


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
