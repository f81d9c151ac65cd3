"""The types of the spec's values: names, durations, sizes, commands; keys of more than one form."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from orchestrator.errors import Rule
from orchestrator.item_templates import NO_NAMES, steps_of
from orchestrator.spec import rules
from orchestrator.spec.declaration import (
    After,
    Before,
    Bounds,
    ByForm,
    ByValue,
    JsonSchema,
    Lax,
    Tag,
)
from orchestrator.spec.units import (
    RATE_PATTERN,
    UNITS,
    DurationError,
    RateError,
    parse_duration_s,
    parse_interval_s,
)
from orchestrator.spec.wording import kind

__all__ = [
    "AUTO_WORKERS",
    "BY_VALUE",
    "TEXT_PATTERN",
    "Combinations",
    "CommandLine",
    "Durable",
    "Duration",
    "EnvValue",
    "ExceptionName",
    "ExitCodes",
    "FormatVersion",
    "Handles",
    "ItemName",
    "JobNames",
    "Memory",
    "Name",
    "Parameter",
    "PositiveDuration",
    "QueueNames",
    "RateLimit",
    "SignalName",
    "Size",
    "SomeValues",
    "TagName",
    "TagNames",
    "TargetName",
    "Text",
    "Texts",
    "Values",
    "VarName",
    "VariableName",
    "Workers",
    "broken",
    "by_form",
    "env_value",
    "is_name",
    "switched",
]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
_NAME_SCHEMA = {
    "type": "string",
    "pattern": f"^{_NAME.pattern}$",
    "not": {"pattern": r"-[0-9]+$"},
}
_VAR_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
_IDENTIFIER = r"[^\s!-/0-9:-@\[-^`{-~][^\s!-/:-@\[-^`{-~]*"
_DOTTED = rf"{_IDENTIFIER}(\.{_IDENTIFIER})*"
_NUMBER = r"[0-9]+(\.[0-9]+)?"
_DURATION_SCHEMA = {
    "type": "string",
    "pattern": "^(?=[0-9])" + "".join(f"({_NUMBER}{unit})?" for unit in UNITS) + "$",
    "maxLength": 64,
    "examples": ["10s", "1m30s", "200ms"],
}
_POSITIVE_DURATION_SCHEMA = {"not": {"type": "string", "pattern": "^[^1-9]*$"}, **_DURATION_SCHEMA}
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kKmMgGtTpPeE]?)([iI]?)[bB]([iI][tT])?\s*", re.ASCII)
_SIZE_SCHEMA = {
    "type": "string",
    "pattern": f"^{_SIZE.pattern}$",
    "examples": ["500MB", "2GiB"],
}
_SOME_SIZE_SCHEMA = {"not": {"type": "string", "pattern": "^[^1-9]*$"}, **_SIZE_SCHEMA}
TEXT_PATTERN = r"^[^\u0000]*$"
"""Text without NUL, as a JSON Schema has it."""

_TEXT_SCHEMA = {"type": "string", "pattern": TEXT_PATTERN}
_SET_SCHEMA = {"type": "array", "items": _TEXT_SCHEMA, "uniqueItems": True}
_UNIT_WITHOUT_B = re.compile(r"([0-9]*\.?[0-9]+) ?([kKmMgGtT])(i?)", re.ASCII)
_LEAST_BYTES = 64 << 20
_MOST_BYTES = (1 << 62) - 1


def broken(rule: Rule, message: str, hint: str) -> ValueError:
    """Return what a validator raises for a value that breaks a rule."""
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 -- not for a spec that is right

    context = {"rule": rule, "message": message, "hint": hint}
    return PydanticCustomError("mporch", "{message}", context)


def _size(value: Any) -> Any:
    """Parse a size in bytes: a number and a unit (pydantic.ByteSize)."""
    hint = "write a number and a unit (kB, MB, GB, KiB, MiB, GiB): 500MB, 2GiB"
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str) or value.strip().isdigit():
        raise broken(rules.BAD_SIZE, "a size is text with a unit, such as 2GiB", hint)
    if (found := _SIZE.fullmatch(value)) is None:
        raise broken(rules.BAD_SIZE, f'"{value[:40]}" is not a size', _hint_for_size(value, hint))
    number, prefix, binary, bits = found.groups()
    if binary and not prefix:
        raise broken(rules.BAD_SIZE, f'"{value[:40]}" is not a size', hint)
    unit = (1024 if binary else 1000) ** " kmgtpe".index(prefix.lower() or " ")
    size = float(number) * (unit / 8 if bits else unit)
    if size < 1:
        raise broken(rules.BAD_SIZE, f"{value[:40]} is nothing", hint)
    if size > _MOST_BYTES:
        message = f"{value[:40]} is more than any machine has"
        raise broken(rules.BAD_SIZE, message, "write null for no limit")
    return int(size)


def _hint_for_size(text: str, usual: str) -> str:
    """Return how to write a size as Kubernetes and Docker have it: 1Gi, 500m."""
    unit = _UNIT_WITHOUT_B.fullmatch(text)
    return f"did you mean {unit[1]}{unit[2].upper()}{unit[3]}B?" if unit else usual


def _memory(value: Any) -> Any:
    """Parse a size that a worker can live with."""
    size = _size(value)
    if size is not None and size < _LEAST_BYTES:
        message = f"{value[:40]} is too small: no worker starts with less than 64MiB"
        raise broken(rules.BAD_SIZE, message, "write 64MiB or more")
    return size


def _text(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise broken(rules.NUL_IN_TEXT, "the text holds a NUL character", "remove it")
    return value


def is_name(value: object) -> bool:
    """True if a job or queue can be named so."""
    return (
        isinstance(value, str)
        and _NAME.fullmatch(value) is not None
        and re.search(r"-[0-9]+$", value) is None
    )


def _name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _NAME.fullmatch(value):
        raise broken(
            rules.BAD_NAME,
            f'"{value[:70]}" is not a name',
            "a name has up to 64 ASCII letters, digits, _ and -, and does not start with -",
        )
    if re.search(r"-[0-9]+$", value):
        hint = f"workers are named so: write {value.replace('-', '_')}"
        raise broken(rules.BAD_NAME, f'the name "{value}" ends in - and digits', hint)
    return value


def _tag(value: Any) -> Any:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        hint = "a tag has up to 64 ASCII letters, digits, _ and -, and does not start with -"
        raise broken(rules.BAD_NAME, f'"{value[:70]}" cannot be a tag', hint)
    return value


def _var_name(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(_VAR_NAME, value, re.ASCII):
        hint = "a name has up to 64 ASCII letters, digits, _ and -, a letter or _ first"
        message = f'"{value[:70]}" cannot be the name of a variable'
        raise broken(rules.BAD_VARIABLE_NAME, message, hint)
    return value


def _parameter(value: Any) -> Any:
    if isinstance(value, str) and not value.isidentifier():
        hint = "a map gives {parameter: queue}; the target is called with parameter=handle"
        message = f'"{value[:70]}" cannot be the name of a parameter'
        raise broken(rules.BAD_PARAMETER, message, hint)
    return value


def _duration_s(value: Any) -> float:
    try:
        return parse_duration_s(value)
    except DurationError as error:
        raise broken(rules.BAD_DURATION, str(error), error.hint) from None


def _positive_duration_s(value: Any) -> float | None:
    if value is None:
        return None
    if value == 0 and type(value) in (int, float):
        message = "a limit of time must be longer than nothing"
        raise broken(rules.BAD_DURATION, message, "write null for no limit")
    if (seconds := _duration_s(value)) <= 0:
        message = "a limit of time must be longer than nothing"
        raise broken(rules.BAD_DURATION, message, "write null for no limit")
    return seconds


def _rate(value: Any) -> Any:
    try:
        parse_interval_s(value)
    except RateError as error:
        raise broken(rules.BAD_RATE, str(error), error.hint) from None
    return value


_ITEM_TEXT = r"(?:[^{}]|\{\{|\}\})*"
_ITEM_FIELD = r"\{item(?:\[[^\[\]}]+\]|\.[^\W\d_]\w*)*\}"
_ITEM_NAME = f"^none$|^{_ITEM_TEXT}(?:{_ITEM_FIELD}{_ITEM_TEXT})+$"


def _item_name(value: Any) -> Any:
    if not isinstance(value, str) or value == NO_NAMES:
        return value
    try:
        steps_of(_text(value))
    except ValueError as error:
        hint = "write fields, as in {item[path]}, {item[0]} or {item.path}; or none"
        raise broken(rules.BAD_ITEM_NAME, f"no name for items: {error}", hint) from None
    return value


def switched(value: Any) -> Any:
    """Spell out the short forms of a part that is off unless asked for: true, and false."""
    if value is True:
        return {}
    if value is False:
        return None
    if not isinstance(value, Mapping):
        message = f"expected true, false or a mapping, got {kind(value)}"
        raise broken(rules.WRONG_TYPE, message, "write true or false, unquoted")
    return value


def env_value(value: Any) -> Any:
    """Take a whole number as text; raise for what is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value)


def _version(value: Any) -> Any:
    if type(value) is not int:
        message = "the version is a whole number"
        raise broken(rules.BAD_VERSION, message, "write version: 1")
    if value != 1:
        message = f"this mporch reads version 1, not {value}"
        raise broken(rules.BAD_VERSION, message, "write version: 1")
    return value


def _durable(value: Any) -> Any:
    if isinstance(value, bool) or value == "full":
        return value
    message = f"expected true, false or full, got {kind(value)}"
    raise broken(rules.UNKNOWN_WORD, message, "write true, false or full")


Durable: TypeAlias = Annotated[bool | Literal["full"], Before(_durable)]
FormatVersion: TypeAlias = Annotated[Literal[1], Before(_version)]
Text: TypeAlias = Annotated[str, Before(_text), JsonSchema(_TEXT_SCHEMA)]
Name: TypeAlias = Annotated[str, Before(_name), JsonSchema(_NAME_SCHEMA)]
TagName: TypeAlias = Annotated[
    str,
    Before(_tag),
    JsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"}),
]
VarName: TypeAlias = Annotated[
    str,
    Before(_var_name),
    JsonSchema({"type": "string", "pattern": f"^{_VAR_NAME}$"}),
]
Parameter: TypeAlias = Annotated[
    str,
    Before(_parameter),
    JsonSchema({"type": "string", "pattern": f"^{_IDENTIFIER}$"}),
]
TargetName: TypeAlias = Annotated[
    Text, JsonSchema({"type": "string", "pattern": f"^{_DOTTED}:{_DOTTED}$"})
]
ExceptionName: TypeAlias = Annotated[
    Text, JsonSchema({"type": "string", "pattern": f"^{_DOTTED}$"})
]
VariableName: TypeAlias = Annotated[
    Text, JsonSchema({"type": "string", "pattern": r"^[^=\u0000]+$"})
]
SignalName: TypeAlias = Annotated[
    Text,
    JsonSchema({"type": "string", "pattern": "^SIG(?!KILL$|STOP$)[A-Z0-9]+$"}),
]
Duration: TypeAlias = Annotated[float, Before(_duration_s), JsonSchema(_DURATION_SCHEMA)]
"""A length of time; seconds once read."""
PositiveDuration: TypeAlias = Annotated[
    float | None,
    Before(_positive_duration_s),
    JsonSchema({"anyOf": [_POSITIVE_DURATION_SCHEMA, {"type": "null"}]}),
]
"""A time limit; None is no limit."""
RateLimit: TypeAlias = Annotated[
    str,
    Before(_rate),
    JsonSchema({"type": "string", "pattern": RATE_PATTERN, "examples": ["10/s", "100/min", "5/h"]}),
]
"""So many of something in a unit of time, as it was written."""
Size: TypeAlias = Annotated[
    int | None,
    Before(_size),
    JsonSchema({"anyOf": [_SOME_SIZE_SCHEMA, {"type": "null"}]}),
]
"""A size in bytes; None is no limit."""
Memory: TypeAlias = Annotated[
    int | None,
    Before(_memory),
    JsonSchema({"anyOf": [_SOME_SIZE_SCHEMA, {"type": "null"}]}),
]
"""A size that a worker can live with, in bytes; None is no limit."""
ItemName: TypeAlias = Annotated[
    str | None,
    Before(_item_name),
    JsonSchema({"type": ["string", "null"], "pattern": _ITEM_NAME}),
]
"""A template that names items, or that they have no names; None is their text."""
EnvValue: TypeAlias = Annotated[
    str | None,
    Before(env_value),
    JsonSchema({"type": ["string", "integer", "null"]}),
]

Texts: TypeAlias = Annotated[tuple[Text, ...], Lax()]
Values: TypeAlias = Annotated[tuple[Any, ...], Lax()]
SomeValues: TypeAlias = Annotated[Values, JsonSchema({"type": "array", "minItems": 1})]
Combinations: TypeAlias = Annotated[tuple[dict[str, Any], ...], Lax()]
QueueNames: TypeAlias = Annotated[Texts, JsonSchema({"minItems": 1, **_SET_SCHEMA})]
JobNames: TypeAlias = Annotated[Texts, JsonSchema(_SET_SCHEMA)]
TagNames: TypeAlias = Annotated[tuple[TagName, ...], Lax()]
Handles: TypeAlias = Annotated[
    dict[Parameter, Text],
    JsonSchema(
        {
            "type": "object",
            "patternProperties": {f"^{_IDENTIFIER}$": _TEXT_SCHEMA},
            "additionalProperties": False,
            "minProperties": 1,
        }
    ),
]


BY_VALUE = ByValue()
"""Stands in the `Annotated` of an enum."""


def _form(value: Any) -> str | None:
    match value:
        case str() | enum.Enum():
            return "<text>"
        case list() | tuple():
            return "<list>"
        case bool():
            return None
        case Mapping():
            return "<map>"
        case int():
            return "<number>"
        case None:
            return "<nothing>"
        case _:
            return None


def by_form(expected: str) -> ByForm:
    """Return a mark of a union: by what a value is, text, list, mapping, whole number or nothing.

    A form that the union does not have is an error.
    """
    return ByForm(_form, expected)


_NOT_BLANK = {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_ARGUMENT_SCHEMA = {"type": ["string", "integer"], "pattern": TEXT_PATTERN}


def _not_blank(value: Any) -> Any:
    """Refuse a command that names no program."""
    first = value if isinstance(value, str) else next(iter(value), "")
    if not first.strip():
        hint = "write text for /bin/sh, or a list of a program and its arguments"
        raise broken(rules.EMPTY_VALUE, "the command is empty", hint)
    return value


def _some(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value:
        raise broken(rules.EMPTY_VALUE, "exit_codes is empty", "write [0], or remove the key")
    return value


AUTO_WORKERS = 0
"""Stands for `workers: auto`: as many as the machine has processors for this process."""


def _workers(value: Any) -> Any:
    if value == "auto":
        return AUTO_WORKERS
    if type(value) is int and value < 1:
        message = f"{value} is too small: the least is 1"
        raise broken(rules.OUT_OF_RANGE, message, "write 1 or more, or auto")
    return value


Workers: TypeAlias = Annotated[
    int,
    Bounds(ge=AUTO_WORKERS),
    Before(_workers),
    JsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]
"""A number of processes; AUTO_WORKERS is for whoever makes the plan to find out."""
ExitCodes: TypeAlias = Annotated[
    tuple[Annotated[int, Bounds(ge=0, le=255)], ...],
    Lax(),
    After(_some),
    JsonSchema(
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 255},
            "minItems": 1,
        }
    ),
]
_Argument: TypeAlias = Annotated[str, Before(env_value)]
_Arguments: TypeAlias = Annotated[
    tuple[_Argument, ...],
    Lax(),
    JsonSchema(
        {
            "type": "array",
            "prefixItems": [_NOT_BLANK],
            "items": _ARGUMENT_SCHEMA,
            "minItems": 1,
        }
    ),
]
_Script: TypeAlias = Annotated[Text, JsonSchema(_NOT_BLANK)]

CommandLine: TypeAlias = Annotated[
    Annotated[_Script, Tag("<text>")] | Annotated[_Arguments, Tag("<list>")],
    by_form("text for /bin/sh, or a list of a program and its arguments"),
    After(_not_blank),
]
"""What a shell reads, or a program and its arguments, in which whole numbers may stand."""
