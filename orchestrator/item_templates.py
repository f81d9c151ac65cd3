"""Templates of item names, such as `{item[path]}`: text, and fields of the item. Pure.

Standard library only, as `item_names`, which fills them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

__all__ = ["NO_NAMES", "Step", "steps_of"]

NO_NAMES = "none"
"""In the place of a template: no item is named."""

Step: TypeAlias = str | tuple[tuple[bool, str | int], ...]
"""A piece of a template: text, or the path of a field. Its steps are keys or (True) attributes."""

_FIELD = re.compile(r"\[([^\[\]]+)\]|\.([^.\[\]]*)")
_ATTRIBUTE = re.compile(r"[^\W\d_]\w*")


@lru_cache
def steps_of(template: str) -> tuple[Step, ...]:
    """Return the pieces of a template such as `{item[path]}`.

    Raises ValueError, which says what is wrong, for anything but text and fields of the item.
    """
    steps: list[Step] = []
    text, at = "", 0
    while at < len(template):
        char = template[at]
        if char in "{}" and template[at : at + 2] == 2 * char:
            text, at = text + char, at + 2
        elif char == "}":
            raise ValueError("a } without its {; for the character itself write }}")
        elif char == "{":
            end = template.find("}", at)
            if end < 0:
                raise ValueError("a { without its }; for the character itself write {{")
            steps += [text] if text else []
            steps.append(_path_of(template[at + 1 : end]))
            text, at = "", end + 1
        else:
            text, at = text + char, at + 1
    steps += [text] if text else []
    if all(isinstance(step, str) for step in steps):
        raise ValueError("it names no field of the item")
    return tuple(steps)


def _path_of(field: str) -> tuple[tuple[bool, str | int], ...]:
    """Return the steps of `item[path].name`."""
    if not field.startswith("item") or field[4:5] not in ("", "[", "."):
        raise ValueError(f"{{{field}}} is no field of the item")
    path: list[tuple[bool, str | int]] = []
    at = len("item")
    while at < len(field):
        found = _FIELD.match(field, at)
        if found is None:
            raise ValueError(f"{{{field}}} has more than keys in brackets and attributes")
        key, attribute = found.groups()
        if key is not None:
            path.append((False, int(key) if key.isdecimal() and key.isascii() else key))
        elif not _ATTRIBUTE.fullmatch(attribute):
            raise ValueError(f"{{{field}}} has .{attribute}, and only public attributes are read")
        else:
            path.append((True, attribute))
        at = found.end()
    return tuple(path)
