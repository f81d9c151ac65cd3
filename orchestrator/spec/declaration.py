"""Declarations of a spec's mappings: typed keys, by which plain values are read.

What is right is read here; pydantic, which takes long to import, is asked what is wrong with the
rest, and for the JSON Schema. Its models are made of the same declarations. The marks of a type
stand in its `Annotated`, and say what they mean to either.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, ErrorDetails

__all__ = [
    "After",
    "Before",
    "Bounds",
    "ByForm",
    "ByValue",
    "Field",
    "JsonSchema",
    "KeyInfo",
    "Lax",
    "SpecPart",
    "Tag",
    "TypeMark",
    "UnreadableError",
    "errors_in",
    "pydantic_model",
]

Reader: TypeAlias = Callable[[Any], Any]
"""From a plain value to what it stands for. Raises ValueError."""

_REQUIRED: Any = object()


class UnreadableError(ValueError):
    """A value does not fit its type; `errors_in` tells how."""


class KeyInfo:
    """One key of a mapping: its type, its default, the marks of its type."""

    def __init__(self, default: Any, about: Mapping[str, Any]) -> None:
        self.default = default
        self.about = about
        """What is handed on to pydantic: bounds, and what is for readers."""
        self.annotation: Any = None
        self.metadata: tuple[Any, ...] = ()

    @property
    def is_required(self) -> bool:
        """True if it has no default."""
        return self.default is _REQUIRED

    def fresh_default(self) -> Any:
        """Return the default; of a mapping a copy."""
        return dict(self.default) if type(self.default) is dict else self.default


def Field(  # noqa: N802 -- it stands where pydantic has its own, and reads as that
    *, default: Any = _REQUIRED, **about: Any
) -> Any:
    """Declare a key; `about` is as in pydantic: `title`, `description`, `examples`, `ge`, `le`."""
    return KeyInfo(default, about)


@typing.dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class SpecPart:
    """A mapping of a spec: frozen, no unknown key. A subclass declares its keys.

    `extra` is the type of the values of other keys, if a mapping may have any.
    """

    model_config: ClassVar[Mapping[str, Any]] = {
        "strict": True,
        "frozen": True,
        "extra": "forbid",
        "title": None,
    }
    model_fields: ClassVar[dict[str, KeyInfo]] = {}
    model_extra: ClassVar[Any] = None
    made: ClassVar[dict[str, Any]] = {}
    """What is made of the declaration when it is first asked for."""
    model_fields_set: frozenset[str]
    """The keys that were written."""

    def __init_subclass__(cls, *, extra: Any = None) -> None:
        own = {name: key for name, key in vars(cls).items() if isinstance(key, KeyInfo)}
        hints = typing.get_type_hints(cls, include_extras=True)
        for name, key in own.items():
            key.annotation = hints[name]
            key.metadata = getattr(hints[name], "__metadata__", ())
            delattr(cls, name)
        cls.model_fields = {**cls.model_fields, **own}
        cls.model_extra = extra
        cls.made = {}

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(type(self).read(values).__dict__)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpecPart) or type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, key) == getattr(other, key) for key in self.model_fields)

    def __hash__(self) -> int:
        return hash(type(self))  # what is in it may be a mapping

    def __repr__(self) -> str:
        written = ", ".join(f"{key}={getattr(self, key)!r}" for key in self.model_fields)
        return f"{type(self).__name__}({written})"

    @classmethod
    def read(cls, data: object) -> Self:
        """Return what plain values stand for. Raises ValueError if any is wrong."""
        if isinstance(data, cls):
            return data
        if type(data) is not dict:
            raise UnreadableError
        readers, other = _readers_of(cls)
        values = {}
        for key, value in data.items():
            reader = readers.get(key, other)
            if reader is None or type(key) is not str:
                raise UnreadableError
            values[key] = reader(value)
        if any(info.is_required and key not in values for key, info in cls.model_fields.items()):
            raise UnreadableError
        return cls.model_construct(_fields_set=values.keys(), **values)

    @classmethod
    def model_construct(cls, *, _fields_set: Any = frozenset(), **values: Any) -> Self:
        """Return a part with these values, unread, and the defaults of the others."""
        found = cls.__new__(cls)
        for key, info in cls.model_fields.items():
            found.__dict__[key] = values[key] if key in values else info.fresh_default()
        found.__dict__["model_fields_set"] = frozenset(_fields_set)
        return found

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """Return it with other values, which count as written."""
        values = {key: getattr(self, key) for key in self.model_fields} | dict(update)
        return self.model_construct(_fields_set=self.model_fields_set | update.keys(), **values)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(pydantic_model(cls))


def _readers_of(part: type[SpecPart]) -> tuple[Mapping[str, Reader], Reader | None]:
    """Return the readers of its keys, and of others if it may have any."""
    if "readers" not in part.made:
        readers = {
            key: _within(_reader(info.annotation), info.about.get("ge"), info.about.get("le"))
            for key, info in part.model_fields.items()
        }
        other = None if part.model_extra is None else _reader(part.model_extra)
        part.made["readers"] = readers, other
    found: tuple[Mapping[str, Reader], Reader | None] = part.made["readers"]
    return found


def _within(read: Reader, least: float | None, most: float | None) -> Reader:
    if least is None and most is None:
        return read

    def within(value: Any) -> Any:
        found = read(value)
        if found is not None and (
            (least is not None and found < least) or (most is not None and found > most)
        ):
            raise UnreadableError
        return found

    return within


def _reader(annotation: Any) -> Reader:
    """Return the reader of a type: of those that the spec's model is made of."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _marked(inner[0], inner[1:])
    if origin in (typing.Union, types.UnionType):
        return _first_of([_reader(each) for each in inner])
    if origin is Literal:
        return functools.partial(_literal, frozenset((type(each), each) for each in inner))
    if origin is tuple:
        return functools.partial(_items, (tuple,), _reader(inner[0]))
    if origin is dict:
        return functools.partial(_entries, _reader(inner[0]), _reader(inner[1]))
    if annotation is Any:
        return _as_it_is
    if isinstance(annotation, type) and issubclass(annotation, SpecPart):
        return annotation.read
    return functools.partial(_exactly, annotation)


def _marked(annotation: Any, marks: tuple[Any, ...]) -> Reader:
    whole = next((mark for mark in marks if isinstance(mark, ByForm | ByValue | Lax)), None)
    read = _reader(annotation) if whole is None else whole.reader(annotation)
    for mark in marks:
        if isinstance(mark, TypeMark):
            read = mark.around(read)
    return read


def _first_of(readers: list[Reader]) -> Reader:
    def first(value: Any) -> Any:
        for read in readers:
            try:
                return read(value)
            except UnreadableError:
                continue
        raise UnreadableError

    return first


def _literal(known: frozenset[tuple[type, Any]], value: Any) -> Any:
    if type(value) not in (str, int, bool) or (type(value), value) not in known:
        raise UnreadableError
    return value


def _items(kinds: tuple[type, ...], read: Reader, value: Any) -> tuple[Any, ...]:
    if type(value) not in kinds:
        raise UnreadableError
    return tuple(map(read, value))


def _entries(read_key: Reader, read: Reader, value: Any) -> dict[Any, Any]:
    if type(value) is not dict:
        raise UnreadableError
    return {read_key(key): read(inner) for key, inner in value.items()}


def _as_it_is(value: Any) -> Any:
    return value


def _exactly(kind: Any, value: Any) -> Any:
    if type(value) is not (kind or types.NoneType):
        raise UnreadableError
    return value


class TypeMark:
    """A mark in the `Annotated` of a type."""

    def around(self, read: Reader) -> Reader:
        """Return the reader of the type with the mark."""
        return read


class Before(TypeMark):
    """A function that takes the plain value first: it spells out short forms, and refuses.

    `written` is the type that the JSON Schema tells; Any: that of what the function returns.
    """

    def __init__(self, function: Reader, *, written: Any = Any) -> None:
        self._function = function
        self._written = written

    def around(self, read: Reader) -> Reader:
        """See `TypeMark`."""
        return lambda value: read(self._function(value))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import BeforeValidator  # noqa: PLC0415 -- takes long to import
        from pydantic_core import PydanticUndefined  # noqa: PLC0415

        written = PydanticUndefined if self._written is Any else self._written
        validator = BeforeValidator(self._function, json_schema_input_type=written)
        return validator.__get_pydantic_core_schema__(source, handler)


class After(TypeMark):
    """A function that takes what was read."""

    def __init__(self, function: Reader) -> None:
        self._function = function

    def around(self, read: Reader) -> Reader:
        """See `TypeMark`."""
        return lambda value: self._function(read(value))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import AfterValidator  # noqa: PLC0415 -- takes long to import

        return AfterValidator(self._function).__get_pydantic_core_schema__(source, handler)


class Bounds(TypeMark):
    """Bounds of a whole number."""

    def __init__(self, *, ge: int, le: int | None = None) -> None:
        self._ge = ge
        self._le = le

    def around(self, read: Reader) -> Reader:
        """See `TypeMark`."""
        return _within(read, self._ge, self._le)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        bounds = {"ge": self._ge} if self._le is None else {"ge": self._ge, "le": self._le}
        schema: Any = {**handler(source), **bounds}
        return typing.cast("CoreSchema", schema)


class Lax(TypeMark):
    """A tuple that is written as a list."""

    def reader(self, annotation: Any) -> Reader:
        """Return the reader of the tuple."""
        return functools.partial(_items, (list, tuple), _reader(typing.get_args(annotation)[0]))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: Any = {**handler(source), "strict": False}
        return typing.cast("CoreSchema", schema)


class JsonSchema(TypeMark):
    """The JSON Schema of a type, instead of that which pydantic makes."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        from pydantic import WithJsonSchema  # noqa: PLC0415 -- takes long to import

        return WithJsonSchema(self._schema).__get_pydantic_json_schema__(schema, handler)


class ByValue(TypeMark):
    """A member of an enum, written by its value."""

    def reader(self, choices: Any) -> Reader:
        """Return the reader of the enum."""
        known = {each.value: each for each in choices}

        def member(value: Any) -> Any:
            if type(value) is not str or value not in known:
                raise UnreadableError
            return known[value]

        return member

    def __get_pydantic_core_schema__(self, choices: Any, _: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # noqa: PLC0415 -- takes long to import

        return core_schema.enum_schema(choices, list(choices), strict=False)

    def __get_pydantic_json_schema__(self, schema: Any, _: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": [each.value for each in schema["members"]], "type": "string"}


class Tag(TypeMark):
    """The form of one type of a union, for `ByForm`."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import Tag as PydanticTag  # noqa: PLC0415 -- takes long to import

        return PydanticTag(self.tag).__get_pydantic_core_schema__(source, handler)


class ByForm(TypeMark):
    """A union of types of which each has its `Tag`; `form` returns that of a value, or None."""

    def __init__(self, form: Callable[[Any], str | None], expected: str) -> None:
        self._form = form
        self._expected = expected

    def reader(self, union: Any) -> Reader:
        """Return the reader of the union."""
        readers = {
            next(mark.tag for mark in each.__metadata__ if isinstance(mark, Tag)): _reader(each)
            for each in typing.get_args(union)
        }

        def by_form(value: Any) -> Any:
            if (read := readers.get(self._form(value) or "")) is None:
                raise UnreadableError
            return read(value)

        return by_form

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic import Discriminator  # noqa: PLC0415 -- takes long to import

        discriminator = Discriminator(
            self._form,
            custom_error_type="form",
            custom_error_message="expected " + self._expected,
            custom_error_context={"expected": self._expected},
        )
        return discriminator.__get_pydantic_core_schema__(source, handler)


def pydantic_model(part: type[SpecPart]) -> type[BaseModel]:
    """Return pydantic's model of a part."""
    if "pydantic" not in part.made:
        part.made["pydantic"] = _pydantic_model(part)
    found: type[BaseModel] = part.made["pydantic"]
    return found


def _pydantic_model(part: type[SpecPart]) -> type[BaseModel]:
    from pydantic import BaseModel, ConfigDict  # noqa: PLC0415 -- takes long to import
    from pydantic import Field as PydanticField  # noqa: PLC0415

    config = ConfigDict(**typing.cast("ConfigDict", _config_of(part)))
    annotations = {key: info.annotation for key, info in part.model_fields.items()}
    if part.model_extra is not None:
        annotations["__pydantic_extra__"] = types.GenericAlias(dict, (str, part.model_extra))
    fields = {
        key: PydanticField(**({} if info.is_required else {"default": _plain(info)}), **info.about)
        for key, info in part.model_fields.items()
    }
    about = {"__annotations__": annotations, "__doc__": part.__doc__, "model_config": config}
    body = {**fields, **about, "__module__": part.__module__}
    return types.new_class(part.__name__, (BaseModel,), {}, lambda names: names.update(body))


def _config_of(part: type[SpecPart]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(part.__mro__):
        found |= vars(each).get("model_config", {})
    return found


def _plain(info: KeyInfo) -> Any:
    """Return the default of a key as pydantic's models have it."""
    if isinstance(info.default, SpecPart):
        return pydantic_model(type(info.default)).model_construct()
    return info.default


def errors_in(part: type[SpecPart], data: Mapping[str, Any]) -> list[ErrorDetails]:
    """Return what is wrong with plain values; nothing if they can be read."""
    from pydantic import ValidationError  # noqa: PLC0415 -- takes long to import

    try:
        pydantic_model(part).model_validate(data)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []
