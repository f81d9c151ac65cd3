"""Puts other values into nested ones, by their paths. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["Path", "replaced"]

Path: TypeAlias = tuple[str | int, ...]


def replaced(value: Any, others: Mapping[Path, Any], path: Path) -> Any:
    """Return `value`, which stands at `path`, with all in place that `others` has for a path."""
    if path in others:
        return others[path]
    if isinstance(value, dict):
        return {key: replaced(item, others, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, others, (*path, n)) for n, item in enumerate(value))
    return value
