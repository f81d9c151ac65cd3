"""The types of what says how processes run: their number, command lines and exit codes."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, Strict, Tag, WithJsonSchema

from orchestrator.spec.fields import TEXT_PATTERN, Text, broken, by_form, env_value
from orchestrator.spec.rules import values

__all__ = ["AUTO_WORKERS", "CommandLine", "ExitCodes", "Workers"]

_NOT_BLANK = {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_ARGUMENT_SCHEMA = {"type": ["string", "integer"], "pattern": TEXT_PATTERN}


def _not_blank(value: Any) -> Any:
    """Refuse a command that names no program."""
    first = value if isinstance(value, str) else next(iter(value), "")
    if not first.strip():
        hint = "write text for /bin/sh, or a list of a program and its arguments"
        raise broken(values.EMPTY_VALUE, "the command is empty", hint)
    return value


def _some(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value:
        raise broken(values.EMPTY_VALUE, "exit_codes is empty", "write [0], or remove the key")
    return value


AUTO_WORKERS = 0
"""Stands for `workers: auto`: as many as the machine has processors for this process."""


def _workers(value: Any) -> Any:
    if value == "auto":
        return AUTO_WORKERS
    if type(value) is int and value < 1:
        message = f"{value} is too small: the least is 1"
        raise broken(values.OUT_OF_RANGE, message, "write 1 or more, or auto")
    return value


Workers: TypeAlias = Annotated[
    int,
    Field(ge=AUTO_WORKERS),
    BeforeValidator(_workers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]
"""A number of processes; AUTO_WORKERS is for whoever makes the plan to find out."""
ExitCodes: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=0, le=255)], ...],
    Strict(strict=False),
    AfterValidator(_some),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 255},
            "minItems": 1,
        }
    ),
]
_Argument: TypeAlias = Annotated[str, BeforeValidator(env_value)]
_Arguments: TypeAlias = Annotated[
    tuple[_Argument, ...],
    Strict(strict=False),
    WithJsonSchema(
        {
            "type": "array",
            "prefixItems": [_NOT_BLANK],
            "items": _ARGUMENT_SCHEMA,
            "minItems": 1,
        }
    ),
]
_Script: TypeAlias = Annotated[Text, WithJsonSchema(_NOT_BLANK)]

CommandLine: TypeAlias = Annotated[
    Annotated[_Script, Tag("<text>")] | Annotated[_Arguments, Tag("<list>")],
    by_form("text for /bin/sh, or a list of a program and its arguments"),
    AfterValidator(_not_blank),
]
"""What a shell reads, or a program and its arguments, in which whole numbers may stand."""
