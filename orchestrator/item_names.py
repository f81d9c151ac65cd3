"""Item names: a short safe text of an item, by which a person finds it again. Pure.

Nothing of the item's own code is called. A plain item is walked; one that is pickled is unpickled
as a dead letter is (`restricted`): an object of another class is a name with what was pickled of
it. So an item has one name, whoever makes it: the worker at whose call it failed, or the child that
is asked after that worker's death. A `__repr__` that raises, hangs or kills its process does not
matter. Standard library only.
"""

from __future__ import annotations

import collections
import pickletools
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from orchestrator.escaping import escaped
from orchestrator.item_templates import NO_NAMES, steps_of
from orchestrator.masking import MASK, is_secret, without_secrets
from orchestrator.restricted import PLAIN_KINDS, Unknown, safe_loads

__all__ = ["LONGEST", "name_of"]

LONGEST = 80
"""The characters of a name."""
_MOST_BYTES = 16 << 20
"""Of a pickle; the name of a larger one says only how large it is."""
_FEW_BYTES = 64 << 10
"""A pickle of this size is unpickled in a millisecond, whatever is in it."""
_MOST_OPCODES = 20_000
_DEEPEST = 8
_LONGEST_LEAF = 1024
_LONGEST_INT_BITS = 1024
_CUT_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+\Z")
"""A password at the end of a text whose rest was cut off, and the @ with it."""
_type_name = vars(type)["__name__"].__get__
"""What a class is called, past what its metaclass makes of the question."""
_BRACKETS: Mapping[type, tuple[str, str]] = MappingProxyType(
    {
        list: ("[", "]"),
        tuple: ("(", ")"),
        set: ("{", "}"),
        frozenset: ("frozenset({", "})"),
        collections.deque: ("deque([", "])"),
    }
)
_MAPPINGS: Mapping[type, tuple[str, str]] = MappingProxyType(
    {
        dict: ("{", "}"),
        collections.OrderedDict: ("OrderedDict({", "})"),
        collections.Counter: ("Counter({", "})"),
        collections.defaultdict: ("defaultdict({", "})"),
    }
)


def name_of(item: Any, template: str = "", *, packed: bool = False) -> str:
    """Return the name of an item, or of the one that `item` pickles, if it is `packed`.

    A `template` with a field that the item does not have counts as none. Empty if `template` says
    that there are no names. Never raises.
    """
    if template == NO_NAMES:
        return ""
    try:
        if packed:
            if (size := len(item)) > _MOST_BYTES or not _is_small(item):
                return f"({size:,} bytes)"
            item = safe_loads(item)
        name = _filled(item, template) if template else None
        text = _cut(_pieces(item, 0)) if name is None else name
        return _shortened(escaped(text))
    except Exception as error:  # noqa: BLE001 - a damaged pickle, no memory: the failure is told
        return _shortened(f"(no name: {type(error).__name__})")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _is_small(data: bytes | memoryview) -> bool:
    """True if a pickle makes few objects, however large these are."""
    if len(data) <= _FEW_BYTES:
        return True
    opcodes = pickletools.genops(bytes(data))
    return sum(1 for _ in islice(opcodes, _MOST_OPCODES + 1)) <= _MOST_OPCODES


# -- fields of a template --------------------------------------------------------------------------


def _filled(item: Any, template: str) -> str | None:
    """Return the template with the item's fields, None if it lacks one."""
    steps = steps_of(template)
    try:
        return "".join(step if isinstance(step, str) else _field(item, step) for step in steps)
    except LookupError:
        return None


def _field(item: Any, path: tuple[tuple[bool, str | int], ...]) -> str:
    """Return a field as text; text itself without its quotes."""
    for is_attribute, key in path:
        item = _attribute(item, str(key)) if is_attribute else _value(item, key)
    if any(isinstance(key, str) and is_secret(key) for _, key in path) and item is not None:
        return MASK
    if type(item) is str:
        return _harmless(item, LONGEST + 1)
    return _cut(_pieces(item, 0))


def _value(item: Any, key: str | int) -> Any:
    """Return what an item has for a key; raises LookupError."""
    kind = type(item)
    if kind in _MAPPINGS:
        found = key if key in item else str(key)
        if found not in item:  # a defaultdict would make one, and keep it
            raise LookupError(key)
        return item[found]
    if kind in (list, tuple, collections.deque, str, bytes) and isinstance(key, int):
        return item[key]
    if kind is bytes or not issubclass(kind, Unknown):
        raise LookupError(key)
    for known, value in item.pairs:
        if type(known) in (str, int) and known == key:
            return value
    return (item.items or item.arguments)[key] if isinstance(key, int) else _attribute(item, key)


def _attribute(item: Any, name: str) -> Any:
    """Return what was pickled of an object by that name; raises LookupError."""
    for known, value in _attributes(item) if issubclass(type(item), Unknown) else ():
        if known == name:
            return value
    raise LookupError(name)


def _attributes(item: Unknown) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a stand-in, as far as the pickle says which they are."""
    for state in item.states:
        # Classes with __slots__ have a pair: the instance's dict or None, and the slots'.
        for part in state if type(state) is tuple and len(state) == 2 else (state,):
            if type(part) is dict:
                yield from ((name, value) for name, value in part.items() if type(name) is str)


# -- the item as text -----------------------------------------------------------------------------


def _cut(pieces: Iterable[str]) -> str:
    """Join so many that a name is full: the others are never made."""
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > LONGEST:
            break
    return text


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """Yield the text bit by bit."""
    kind = type(value)
    if depth > _DEEPEST:
        yield "…"
    elif kind in _BRACKETS and (value or kind not in (set, frozenset)):
        first, last = _BRACKETS[kind]
        yield first
        yield from _joined(_pieces(each, depth + 1) for each in value)
        yield "," + last if kind is tuple and len(value) == 1 else last
    elif kind in _MAPPINGS:
        first, last = _MAPPINGS[kind]
        yield first
        yield from _joined(_pair(key, each, depth) for key, each in value.items())
        yield last
    elif issubclass(kind, Unknown):
        yield f"{value.called.rpartition('.')[2]}("
        yield from _joined(_contents(value, depth))
        yield ")"
    else:
        yield _leaf(value)


def _joined(parts: Iterable[Iterator[str]]) -> Iterator[str]:
    for place, part in enumerate(parts):
        if place:
            yield ", "
        yield from part


def _pair(key: Any, value: Any, depth: int) -> Iterator[str]:
    yield from _pieces(key, depth + 1)
    yield ": "
    yield from _pieces(value, depth + 1) if not _hides(key, value) else (MASK,)


def _hides(key: Any, value: Any) -> bool:
    """True if a key says that its value is a secret."""
    if value is None or type(key) not in (str, bytes):
        return False
    name = key[:_LONGEST_LEAF]
    return is_secret(name if isinstance(name, str) else name.decode("latin-1"))


def _contents(value: Unknown, depth: int) -> Iterator[Iterator[str]]:
    """Yield what a stand-in was given: arguments, items, attributes."""
    for each in (*value.arguments, *value.items):
        yield _pieces(each, depth + 1)
    for key, each in value.pairs:
        yield _pair(key, each, depth)
    for name, each in _attributes(value):
        yield _named(name, each, depth)


def _named(name: str, value: Any, depth: int) -> Iterator[str]:
    yield f"{name}="
    yield from _pieces(value, depth + 1) if not _hides(name, value) else (MASK,)


def _leaf(value: Any) -> str:
    """Return what has no parts as Python writes it."""
    kind = type(value)
    if kind is str:
        return repr(_harmless(value, LONGEST + 1))
    if kind in (bytes, bytearray):
        text = _harmless(bytes(value[:_LONGEST_LEAF]).decode("latin-1"), LONGEST + 1)
        data = repr(text.encode("latin-1", "replace"))
        return data if kind is bytes else f"bytearray({data})"
    if kind is int and value.bit_length() > _LONGEST_INT_BITS:
        return f"<an int of {value.bit_length():,} bits>"
    if issubclass(kind, type):
        return f"<{value.called if issubclass(value, Unknown) else value.__name__}>"
    return repr(value) if kind in PLAIN_KINDS else f"<{_type_name(kind)}>"


def _harmless(text: str, most: int) -> str:
    """Return the beginning of a text, without secrets that it gives away itself."""
    part = text[:_LONGEST_LEAF]
    safe = without_secrets(part)
    if len(part) < len(text):
        safe = _CUT_PASSWORD.sub(rf"\1:{MASK}", safe)
    return safe[:most]
