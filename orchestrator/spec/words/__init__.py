"""Words of other tools for the keys and values of a spec, and the hints made of them.

The words are data, in the `.toml` files beside this one: read once, when the first hint is made.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

__all__ = ["reversed_words", "words_of"]


@functools.cache
def words_of(name: str) -> Mapping[str, Any]:
    """Return what the data file `name` of this folder says: `keys`, `values` or `parser`."""
    # A spec without a problem needs none of them.
    import tomllib  # noqa: PLC0415
    from importlib.resources import files  # noqa: PLC0415

    return tomllib.loads((files(__name__) / f"{name}.toml").read_text("utf-8"))


def reversed_words(table: Mapping[str, str]) -> dict[str, str]:
    """Turn `ours = "theirs and theirs"` round."""
    return {theirs: ours for ours, many in table.items() for theirs in many.split()}
