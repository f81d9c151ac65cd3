"""Records of a log, for people: time, level, who, message; a traceback below its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.views.output import key_values
from orchestrator.views.text import Style, escaped, paint, screen_line

__all__ = ["render_record"]

_STYLES = {
    "debug": Style.DIM,
    "warning": Style.YELLOW,
    "error": Style.RED,
    "critical": Style.RED,
}
_TERSE = frozenset({"item.skipped"})
"""Events that a policy has asked for, perhaps thousands of times: one line each."""


def render_record(record: Mapping[str, Any], *, colour: bool) -> str:
    """Return `record` as one line with its fields and item, its traceback and hint below.

    The traceback of a skipped item is left out; the log has it.
    """
    level = str(record.get("level", "info"))
    ts = str(record.get("ts", ""))
    time = ts[11:23] + ts[26:]  # milliseconds do; the Z says that it is UTC
    who = str(record.get("worker") or record.get("job") or "mporch")
    painted = paint(f"{escaped(level):<7}", _STYLES.get(level), colour=colour)
    text = f"{escaped(time)} {painted} {escaped(who)} | {_message(record)}\n"
    below = [] if record.get("event") in _TERSE else str(record.get("traceback") or "").splitlines()
    if record.get("hint"):
        below.append(f"hint: {record['hint']}")
    if cut := record.get("cut"):
        below.append(f"cut: {', '.join(map(str, cut)) if isinstance(cut, list) else cut}")
    return text + "".join(f"    {escaped(line)}\n" for line in below)


def _message(record: Mapping[str, Any]) -> str:
    msg = str(record.get("msg", ""))
    item = f"  [{record['item']}]" if record.get("item") else ""
    if record.get("event") == "log":
        logger = f"{record['logger']}: " if record.get("logger") else ""
        fields = record.get("fields")
        told = f"  {key_values(fields)}" if isinstance(fields, dict) and fields else ""
        lines = f"{logger}{msg}{told}{item}".splitlines() or [""]
        return "\n    ".join(map(escaped, lines))
    return f"{screen_line(msg)}{escaped(item)}" if record.get("event") == "output" else escaped(msg)
