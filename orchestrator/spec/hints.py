"""How to mend a value that has the wrong type, or is a word that is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.spec.model import Job
from orchestrator.spec.nodes import Path
from orchestrator.spec.wording import did_you_mean, show

__all__ = [
    "hint_for_list",
    "hint_for_mapping",
    "hint_for_number",
    "hint_for_truth",
    "hint_for_word",
]

_MOST_WRITTEN_OUT = 1e15
_USUAL_KEYS = {"retry": "attempts", "restart": "max", "recycle": "max_items", "batch": "size"}
_TRUTHS = {
    **dict.fromkeys(("yes", "y", "on", "1", "true"), "true"),
    **dict.fromkeys(("no", "n", "off", "0", "false"), "false"),
}
_STATES = {
    **dict.fromkeys(("done", "complete", "completed", "ended", "finish", "end"), "finished"),
    **dict.fromkeys(("success", "successful", "ok", "passed"), "succeeded"),
    **dict.fromkeys(("failure", "error", "errored"), "failed"),
    **dict.fromkeys(("started", "start", "running", "healthy", "up"), "ready"),
}
_MEANS = {
    "finished": "write succeeded, or finished if it may have failed",
    "ready": "write ready: its workers have started",
}


def hint_for_mapping(path: Path, value: Any) -> str:
    """Return what to write for `value`, which is no mapping, where one belongs."""
    key = str(path[-1]) if path else ""
    number = isinstance(value, int) and not isinstance(value, bool)
    match path:
        case ("queues" | "jobs",) if isinstance(value, list | tuple):
            return _keyed(key, value)
        case ("queues", name):
            usual = f"write the most items it holds, a number: {name}: 10"
            return hint_for_number(path, value) or usual
        case ("jobs", name) if name in Job.model_fields:
            return f"if {name} is a key of the job above, indent it further than the job's name"
    if key in _USUAL_KEYS and number:
        return f"write {key}: {{{_USUAL_KEYS[key]}: {value}}}"
    return ""


def _keyed(section: str, items: Sequence[Any]) -> str:
    """Tell that what is written as a list has names, by the first item that has one."""
    named = [each.get("name", "") if isinstance(each, Mapping) else each for each in items]
    names = [each for each in named if isinstance(each, str) and each]
    name = names[0] if names else section[:-1]
    value = "10" if section == "queues" else "{target: …}"
    return f"write each with its name as the key, without a dash: {name}: {value}"


def hint_for_list(path: Path, value: Any) -> str:
    """Return what to write for `value`, which is no list, where one belongs."""
    key = path[-1] if path else ""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name}: …" for name in value)
        return f"write it as a list: [{{{inner}}}]" if key == "log" else ""
    if key == "kill":
        job = value if isinstance(value, str) else "parse"
        return f"write {{job: {job}, at_item: 3}}"
    return f"write [{show(value)}]"


def hint_for_number(path: Path, value: Any) -> str:
    """Return what to write for `value`, which is no whole number, where one belongs."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_WRITTEN_OUT:
        return f"write {int(value)}"
    if not isinstance(value, str):
        return ""
    digits = value.replace("_", "").replace(",", "")
    if digits.isascii() and digits.isdigit() and len(digits) <= 20:
        return f"write {digits}, without quotes" if digits == value else f"write {digits}"
    return did_you_mean(value, ["auto"]) if path[-1:] == ("workers",) else ""


def hint_for_truth(value: Any) -> str:
    """Return what to write for `value`, which is neither true nor false."""
    return f"write {_TRUTHS.get(str(value).lower(), 'true or false')}, unquoted"


def hint_for_word(value: Any, expected: str) -> str:
    """Return which of the words in `expected`, such as `a, b or c`, was meant."""
    if not isinstance(value, str):
        return ""
    words = expected.replace(" or ", ", ").split(", ")
    state = _STATES.get(value.casefold(), "")
    if state in words:
        return _MEANS.get(state, f"did you mean {state}?")
    return did_you_mean(value, words)
