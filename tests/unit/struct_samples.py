"""One of each Struct that crosses a border: its options, and its bytes; printed as JSON."""

import enum
import importlib
import inspect
import json
import types
import typing
from typing import Any

import msgspec

MODULES = (
    "orchestrator.core.protocol.messages",
    "orchestrator.core.protocol.events",
    "orchestrator.core.protocol.commands",
    "orchestrator.core.protocol.notifications",
    "orchestrator.core.durable.records",
    "orchestrator.core.durable.snapshot",
    "orchestrator.core.reporting",
    "orchestrator.ipc.order",
    "orchestrator.ipc.records",
)
OPTIONS = (
    *("array_like", "dict", "eq", "forbid_unknown_fields", "frozen", "gc", "omit_defaults"),
    *("order", "repr_omit_defaults", "tag", "tag_field", "weakref"),
)


def sample(kind: Any) -> Any:
    """A value of a type, not that of zero if there is another."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return sample(args[0])
    if origin is typing.Literal:
        return args[0]
    if origin is tuple:
        return tuple(sample(arg) for arg in args if arg is not Ellipsis)
    if origin in (list, set, frozenset):
        return origin(sample(arg) for arg in args)
    if origin is not None and args and issubclass(origin, typing.Mapping):
        return {sample(args[0]): sample(args[1])}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return list(kind)[-1]
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        return made(kind)
    simple = {int: 7, float: 0.5, str: "a", bytes: b"b", bool: True, type(None): None}
    return simple.get(kind)


def made(kind: type[msgspec.Struct]) -> Any:
    hints = typing.get_type_hints(kind)
    values = {name: sample(hints[name]) for name in kind.__struct_fields__}
    return kind(**values)


def main() -> None:
    told = {}
    for module in map(importlib.import_module, MODULES):
        for kind in vars(module).values():
            if not (inspect.isclass(kind) and issubclass(kind, msgspec.Struct)):
                continue
            config = {name: repr(getattr(kind.__struct_config__, name)) for name in OPTIONS}
            config["called"] = str(inspect.signature(kind))  # keywords only, or not
            fields = repr((kind.__struct_fields__, kind.__struct_defaults__))
            try:
                shown = made(kind)
                data = msgspec.msgpack.encode(shown).hex()
            except TypeError as error:  # a field of no such type: its plan, its failure's object
                data = f"{type(error).__name__}: {error}"
            told[f"{kind.__module__}.{kind.__qualname__}"] = [config, fields, data]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
